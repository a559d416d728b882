"""Files as other programs write them, and as people do who mean harm."""

import hashlib
import io
import json
import struct
import subprocess
import tarfile
from pathlib import Path

SENTINEL = b"nobody may read this, and it must appear nowhere "


def qemu_img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def sentinel(directory: Path) -> Path:
    """A private file that an attack wants to see copied."""
    path = directory / "private"
    path.write_bytes(SENTINEL * 4000)
    path.chmod(0o600)
    return path


def leaked(directory: Path, *but: Path) -> list[Path]:
    """The files below a directory that hold the sentinel, other than those."""
    files = [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if path not in but and SENTINEL in path.read_bytes()]


def content(size: int = 3 * 2**20) -> bytes:
    """A disk: something to read, zeros, and something that does not compress."""
    seed, blocks = b"disk", []
    for _ in range(size // 8 // 32):
        seed = hashlib.sha256(seed).digest()
        blocks.append(seed)
    noise = b"".join(blocks)
    return b"the disk's beginning".ljust(4096, b".") + noise + bytes(size - 4096 - len(noise))


def raw(directory: Path, name: str = "plain.raw", size: int = 3 * 2**20) -> Path:
    path = directory / name
    path.write_bytes(content(size))
    return path


def image(directory: Path, kind: str, *options: str, name: str = "") -> Path:
    """An image of that kind, by QEMU, with `content`."""
    path = directory / (name or f"disk.{kind}")
    source = raw(directory, f"source-{path.name}.raw")
    qemu_img("convert", "-f", "raw", "-O", kind, *options, source, path)
    source.unlink()
    return path


def stream(directory: Path, name: str = "disk.vmdk") -> Path:
    return image(directory, "vmdk", "-o", "subformat=streamOptimized", name=name)


def poke(path: Path, offset: int, value: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[offset : offset + len(value)] = value
    path.write_bytes(data)
    return path


# -- attacks by images ------------------------------------------------------------


def backed(directory: Path, backing: str) -> Path:
    """A qcow2 that names that as its backing file, whatever it is."""
    path = directory / "backed.qcow2"
    qemu_img("create", "-f", "qcow2", path, "1M")
    name = backing.encode()
    data = bytearray(path.read_bytes().ljust(8192, b"\0"))
    data[8:20] = struct.pack(">QI", 4096, len(name))
    data[4096 : 4096 + len(name)] = name
    path.write_bytes(data)
    return path


def with_data_file(directory: Path, data: Path) -> Path:
    """A qcow2 whose guest data lies in another file."""
    path = directory / "outside.qcow2"
    kept = data.read_bytes()
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={data},data_file_raw=on", path, "64K")
    data.write_bytes(kept)
    return path


def flat_vmdk(directory: Path, victim: Path) -> Path:
    path = directory / "flat.vmdk"
    path.write_text(
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
        f'createType="monolithicFlat"\nRW 128 FLAT "{victim}" 0\nddb.adapterType = "ide"\n'
    )
    return path


def sparse_vmdk(directory: Path, descriptor: str, *, capacity: int | None = None) -> Path:
    """A monolithicSparse VMDK with a descriptor that somebody has written anew."""
    path = image(directory, "vmdk", "-o", "subformat=monolithicSparse", name="sparse.vmdk")
    poke(path, 512, descriptor.encode().ljust(4096, b"\0"))
    if capacity is not None:
        poke(path, 12, struct.pack("<Q", capacity))
    return path


DESCRIPTOR = (
    "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
    'createType="monolithicSparse"\n{extent}\nddb.adapterType = "ide"\n'
)


def huge_qcow2(directory: Path, size: int) -> Path:
    """300 KB that claim to be a disk of that size."""
    path = directory / "huge.qcow2"
    qemu_img("create", "-f", "qcow2", path, "1M")
    poke(path, 24, struct.pack(">Q", size))
    with path.open("ab") as file:
        file.truncate(300 * 1024)
    return path


def bomb_qcow2(directory: Path, size: int) -> Path:
    """A qcow2 all of whose clusters are one and the same: small, and `size` bytes to a guest."""
    path = directory / "bomb.qcow2"
    cluster = 65_536
    entries = size // cluster
    tables = -(-entries // 8192)
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, size, 0, tables, cluster * 2,
        cluster * 3, 1, 0, 0, 0, 0, 0, 4, 104,
    )  # fmt: skip
    used = 1 << 63
    table_at, data_at = cluster * 5, cluster * 6
    l1 = struct.pack(">Q", table_at | used) * tables
    l2 = struct.pack(">Q", data_at | used) * 8192
    path.write_bytes(
        b"".join(
            part.ljust(cluster, b"\0")
            for part in (header, b"", l1, struct.pack(">Q", cluster * 4), b"", l2)
        )
        + SENTINEL.ljust(cluster, b"x")
    )
    return path


# -- packages ------------------------------------------------------------------------


def ova(
    path: Path,
    members: dict[str, bytes],
    *,
    manifest: str = "sha256",
    style: str = "{name}({file})= {digest}",
) -> Path:
    """A tar with those members in their order, and a manifest after the description."""
    files = list(members.items())
    if manifest:
        lines = "".join(
            style.format(
                name=manifest.upper(), file=name, digest=hashlib.new(manifest, data).hexdigest()
            )
            + "\n"
            for name, data in files
        )
        files.insert(1, (files[0][0].replace(".ovf", ".mf"), lines.encode()))
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o640
            archive.addfile(info, io.BytesIO(data))
    return path


VIRTUALBOX = """\
<?xml version="1.0"?>
<Envelope ovf:version="1.0" xml:lang="en-US" xmlns="http://schemas.dmtf.org/ovf/envelope/1" \
xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" \
xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" \
xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xmlns:vbox="http://www.virtualbox.org/ovf/machine">
  <References>
    <File ovf:href="{disk}" ovf:id="file1"{file}/>
  </References>
  <DiskSection>
    <Info>List of the virtual disks used in the package</Info>
    <Disk ovf:capacity="3145728" ovf:diskId="vmdisk1" ovf:fileRef="file1" \
ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" \
vbox:uuid="a83f0c5e-7e6f-4a5e-8f7e-3d5f0a6f5d11"/>
  </DiskSection>
  <NetworkSection>
    <Info>Logical networks used in the package</Info>
    <Network ovf:name="NAT">
      <Description>Logical network used by this appliance.</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="Web Server (2)">
    <Info>A virtual machine</Info>
    <OperatingSystemSection ovf:id="96">
      <Info>The kind of installed guest operating system</Info>
      <Description>Debian_64</Description>
      <vbox:OSType ovf:required="false">Debian_64</vbox:OSType>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware requirements for a virtual machine</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>Web Server (2)</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>virtualbox-2.2</vssd:VirtualSystemType>
      </System>
      <Item>
        <rasd:Caption>2 virtual CPU</rasd:Caption>
        <rasd:Description>Number of virtual CPUs</rasd:Description>
        <rasd:ElementName>2 virtual CPU</rasd:ElementName>
        <rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>2</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits>
        <rasd:Caption>1024 MB of memory</rasd:Caption>
        <rasd:Description>Memory Size</rasd:Description>
        <rasd:ElementName>1024 MB of memory</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>1024</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:Caption>ideController0</rasd:Caption>
        <rasd:ElementName>ideController0</rasd:ElementName>
        <rasd:InstanceID>3</rasd:InstanceID>
        <rasd:ResourceSubType>PIIX4</rasd:ResourceSubType>
        <rasd:ResourceType>5</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:Caption>sataController0</rasd:Caption>
        <rasd:ElementName>sataController0</rasd:ElementName>
        <rasd:InstanceID>5</rasd:InstanceID>
        <rasd:ResourceSubType>AHCI</rasd:ResourceSubType>
        <rasd:ResourceType>20</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:Caption>usb</rasd:Caption>
        <rasd:Description>USB Controller</rasd:Description>
        <rasd:ElementName>usb</rasd:ElementName>
        <rasd:InstanceID>6</rasd:InstanceID>
        <rasd:ResourceType>23</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>3</rasd:AddressOnParent>
        <rasd:AutomaticAllocation>false</rasd:AutomaticAllocation>
        <rasd:Caption>sound</rasd:Caption>
        <rasd:Description>Sound Card</rasd:Description>
        <rasd:ElementName>sound</rasd:ElementName>
        <rasd:InstanceID>7</rasd:InstanceID>
        <rasd:ResourceSubType>ensoniq1371</rasd:ResourceSubType>
        <rasd:ResourceType>35</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>0</rasd:AddressOnParent>
        <rasd:Caption>disk1</rasd:Caption>
        <rasd:Description>Disk Image</rasd:Description>
        <rasd:ElementName>disk1</rasd:ElementName>
        <rasd:HostResource>/disk/vmdisk1</rasd:HostResource>
        <rasd:InstanceID>8</rasd:InstanceID>
        <rasd:Parent>{controller}</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>0</rasd:AddressOnParent>
        <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
        <rasd:Caption>cdrom1</rasd:Caption>
        <rasd:Description>CD-ROM Drive</rasd:Description>
        <rasd:ElementName>cdrom1</rasd:ElementName>
        <rasd:InstanceID>9</rasd:InstanceID>
        <rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>15</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
        <rasd:Caption>Ethernet adapter on 'NAT'</rasd:Caption>
        <rasd:Connection>NAT</rasd:Connection>
        <rasd:ElementName>Ethernet adapter on 'NAT'</rasd:ElementName>
        <rasd:InstanceID>10</rasd:InstanceID>
        <rasd:ResourceSubType>E1000</rasd:ResourceSubType>
        <rasd:ResourceType>10</rasd:ResourceType>
      </Item>
    </VirtualHardwareSection>
    <vbox:Machine ovf:required="false" version="1.19-linux" \
uuid="{{0e0f7e3c-6a75-4f6a-9c69-4c3b0a7a5a11}}" name="Web Server (2)" OSType="Debian_64" \
snapshotFolder="Snapshots" lastStateChange="2024-03-01T10:00:00Z">
      <ovf:Info>Complete VirtualBox machine configuration in VirtualBox format</ovf:Info>
      <Hardware>
        <CPU count="2"><PAE enabled="false"/></CPU>
        <Memory RAMSize="1024"/>
        <Firmware type="{firmware}"/>
        <Network>
          <Adapter slot="0" enabled="true" MACAddress="080027B9A1D7" type="82540EM"><NAT/></Adapter>
        </Network>
        <RTC localOrUTC="UTC"/>
      </Hardware>
    </vbox:Machine>
  </VirtualSystem>
</Envelope>
"""

VMWARE = """\
<?xml version="1.0" encoding="UTF-8"?>
<!--Generated by VMware ovftool 4.4.3 (build-18663434), UTC time: 2024-03-01T10:00:00.123456Z-->
<Envelope vmw:buildId="build-18663434" xmlns="http://schemas.dmtf.org/ovf/envelope/1" \
xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common" \
xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" \
xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" \
xmlns:vmw="http://www.vmware.com/schema/ovf" \
xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <References>
    <File ovf:href="db-disk1.vmdk" ovf:id="file1" ovf:size="{size}"/>
    <File ovf:href="db-file1.iso" ovf:id="file2" ovf:size="{iso}"/>
    <File ovf:href="db-file2.nvram" ovf:id="file3" ovf:size="8684"/>
  </References>
  <DiskSection>
    <Info>Virtual disk information</Info>
    <Disk ovf:capacity="3" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="vmdisk1" \
ovf:fileRef="file1" \
ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" \
ovf:populatedSize="1048576"/>
    <Disk ovf:capacity="16" ovf:capacityAllocationUnits="byte * 2^30" ovf:diskId="vmdisk2" \
ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>The list of logical networks</Info>
    <Network ovf:name="bridged"><Description>The bridged network</Description></Network>
  </NetworkSection>
  <VirtualSystem ovf:id="db">
    <Info>A virtual machine</Info>
    <Name>DB Server</Name>
    <AnnotationSection><Info>A note</Info><Annotation>root / see the safe</Annotation>\
</AnnotationSection>
    <OperatingSystemSection ovf:id="1" vmw:osType="windows9_64Guest">
      <Info>The kind of installed guest operating system</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware requirements</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>db</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-19</vssd:VirtualSystemType>
      </System>
      <Item>
        <rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>
        <rasd:Description>Number of Virtual CPUs</rasd:Description>
        <rasd:ElementName>4 virtual CPU(s)</rasd:ElementName>
        <rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>4</rasd:VirtualQuantity>
        <vmw:CoresPerSocket ovf:required="false">2</vmw:CoresPerSocket>
      </Item>
      <Item>
        <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
        <rasd:Description>Memory Size</rasd:Description>
        <rasd:ElementName>4096MB of memory</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>4096</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:Description>SCSI Controller</rasd:Description>
        <rasd:ElementName>scsiController0</rasd:ElementName>
        <rasd:InstanceID>3</rasd:InstanceID>
        <rasd:ResourceSubType>lsilogicsas</rasd:ResourceSubType>
        <rasd:ResourceType>6</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:Description>NVMe Controller</rasd:Description>
        <rasd:ElementName>nvmeController0</rasd:ElementName>
        <rasd:InstanceID>4</rasd:InstanceID>
        <rasd:ResourceSubType>vmware.nvme.controller</rasd:ResourceSubType>
        <rasd:ResourceType>20</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>0</rasd:AddressOnParent>
        <rasd:ElementName>disk0</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource>
        <rasd:InstanceID>5</rasd:InstanceID>
        <rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>0</rasd:AddressOnParent>
        <rasd:ElementName>disk1</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/vmdisk2</rasd:HostResource>
        <rasd:InstanceID>6</rasd:InstanceID>
        <rasd:Parent>4</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType>
      </Item>
      <Item ovf:required="false">
        <rasd:AddressOnParent>1</rasd:AddressOnParent>
        <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
        <rasd:ElementName>cdrom0</rasd:ElementName>
        <rasd:HostResource>ovf:/file/file2</rasd:HostResource>
        <rasd:InstanceID>7</rasd:InstanceID>
        <rasd:ResourceType>15</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:Address>00:50:56:aa:bb:cc</rasd:Address>
        <rasd:AddressOnParent>2</rasd:AddressOnParent>
        <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
        <rasd:Connection>bridged</rasd:Connection>
        <rasd:ElementName>ethernet0</rasd:ElementName>
        <rasd:InstanceID>8</rasd:InstanceID>
        <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType>
        <rasd:ResourceType>10</rasd:ResourceType>
      </Item>
      <Item ovf:required="false">
        <rasd:AutomaticAllocation>false</rasd:AutomaticAllocation>
        <rasd:ElementName>floppy0</rasd:ElementName>
        <rasd:InstanceID>9</rasd:InstanceID>
        <rasd:ResourceType>14</rasd:ResourceType>
      </Item>
      <Item ovf:required="false">
        <rasd:AutomaticAllocation>false</rasd:AutomaticAllocation>
        <rasd:ElementName>video</rasd:ElementName>
        <rasd:InstanceID>10</rasd:InstanceID>
        <rasd:ResourceType>24</rasd:ResourceType>
      </Item>
      <vmw:Config ovf:required="false" vmw:key="cpuHotAddEnabled" vmw:value="false"/>
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
      <vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" \
vmw:value="{secure}"/>
      <vmw:ExtraConfig ovf:required="false" vmw:key="nvram" vmw:value="ovf:/file/file3"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""

LIBVIRT = """\
<domain type='kvm' id='3' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>files</name>
  <uuid>5c3f6b0e-3c0d-4f43-9f0e-9c4dd1f0f3a1</uuid>
  <description>the file server</description>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
      <libosinfo:os id="http://debian.org/debian/12"/>
    </libosinfo:libosinfo>
  </metadata>
  <memory unit='KiB'>4194304</memory>
  <currentMemory unit='KiB'>2097152</currentMemory>
  <vcpu placement='static'>4</vcpu>
  <os firmware='efi'>
    <type arch='x86_64' machine='pc-q35-9.0'>hvm</type>
    <firmware><feature enabled='yes' name='enrolled-keys'/></firmware>
    <loader readonly='yes' secure='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>
    <boot dev='hd'/>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='host-passthrough' check='none' migratable='on'>
    <topology sockets='1' dies='1' cores='2' threads='2'/>
  </cpu>
  <clock offset='utc'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='{format}' discard='unmap'/>
      <source file='{disk}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='block' device='disk'>
      <driver name='qemu' type='raw'/>
      <source dev='/dev/sdb'/>
      <target dev='vdb' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <source file='/srv/iso/debian.iso'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
    <filesystem type='mount' accessmode='passthrough'>
      <source dir='/home/her'/><target dir='home'/>
    </filesystem>
    <interface type='network'>
      <mac address='52:54:00:aa:bb:cc'/>
      <source network='default'/>
      <model type='virtio'/>
    </interface>
    <hostdev mode='subsystem' type='usb'><source><vendor id='0x1050'/></source></hostdev>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
    <sound model='ich9'/>
    <video><model type='qxl'/></video>
  </devices>
  <qemu:commandline><qemu:arg value='-S'/></qemu:commandline>
</domain>
"""


def with_json(values: dict[str, object]) -> str:
    return f"json:{json.dumps(values)}"


def virtualbox(disk: str = "web-disk001.vmdk", **changes: str) -> bytes:
    """VirtualBox's description; `changes` are `firmware`, `controller` and attributes of `file`."""
    values = {"firmware": "BIOS", "controller": "5", "file": ""} | changes
    return VIRTUALBOX.format(disk=disk, **values).encode()


def disc(directory: Path, name: str = "install.iso") -> Path:
    """A small ISO 9660 disc."""
    import pycdlib

    path = directory / name
    iso = pycdlib.PyCdlib()
    iso.new()
    iso.add_fp(io.BytesIO(b"hello\n"), 6, "/HELLO.TXT;1")
    iso.write(str(path))
    iso.close()
    return path

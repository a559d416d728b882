"""The description in an OVA: OVF 1.1 (DSP0243), which VirtualBox, VMware and virt-v2v read.

What differs between them is written the way all three take: disks on an AHCI controller, the
adapters as E1000. A section of our own, which they skip, keeps what our guests had instead.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from workstation.core.foreign.ovf_read import OURS
from workstation.model.profile import Family, Firmware, Nic, Profile
from workstation.model.text import safe, safe_line

_OVF = "http://schemas.dmtf.org/ovf/envelope/1"
_CIM = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2"
_STREAM = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

_SYSTEMS = {
    Family.LINUX: ("101", "otherLinux64Guest", "Linux_64"),
    Family.WINDOWS: ("1", "windows9_64Guest", "Windows10_64"),
    Family.BSD: ("78", "freebsd64Guest", "FreeBSD_64"),
    Family.OTHER: ("102", "otherGuest64", "Other_64"),
}
"""CIM's number (CIM_OperatingSystem.OsType), VMware's word and VirtualBox's."""

_CPU, _MEMORY, _NIC, _DVD, _DISK, _STORAGE, _VIDEO = 3, 4, 10, 15, 17, 20, 24


class PackedDisk(NamedTuple):
    """A disk in the package."""

    file: str
    size: int
    """Bytes of the file."""
    capacity: int
    """Bytes that the guest sees."""


def write_ovf(name: str, profile: Profile, disks: Sequence[PackedDisk]) -> str:
    """The text of the .ovf."""
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="{_OVF}" xmlns:ovf="{_OVF}"
    xmlns:rasd="{_CIM}/CIM_ResourceAllocationSettingData"
    xmlns:vssd="{_CIM}/CIM_VirtualSystemSettingData"
    xmlns:vmw="http://www.vmware.com/schema/ovf"
    xmlns:vbox="http://www.virtualbox.org/ovf/machine"
    xmlns:own="{OURS}">
{_files(disks)}  <NetworkSection>
    <Info>Networks</Info>
    <Network ovf:name="NAT">
      <Description>Behind the host</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id={quoteattr(name)}>
    <Info>A virtual machine</Info>
    <Name>{escape(name)}</Name>
{_system(profile)}{_annotation(profile)}{_hardware(name, profile, len(disks))}{_own(profile)}\
  </VirtualSystem>
</Envelope>
"""


def _files(disks: Sequence[PackedDisk]) -> str:
    """What is in the package, and which disks those files are."""
    files = "".join(
        f'    <File ovf:id="file{n}" ovf:href={quoteattr(disk.file)} ovf:size="{disk.size}"/>\n'
        for n, disk in enumerate(disks, 1)
    )
    described = "".join(
        f'    <Disk ovf:diskId="vmdisk{n}" ovf:fileRef="file{n}" ovf:capacity="{disk.capacity}"'
        f' ovf:capacityAllocationUnits="byte" ovf:format="{_STREAM}"/>\n'
        for n, disk in enumerate(disks, 1)
    )
    return (
        f"  <References>\n{files}  </References>\n"
        f"  <DiskSection>\n    <Info>Virtual disks</Info>\n{described}  </DiskSection>\n"
    )


def _system(profile: Profile) -> str:
    number, vmware, virtualbox = _SYSTEMS[profile.family]
    return f"""\
    <OperatingSystemSection ovf:id="{number}" vmw:osType="{vmware}">
      <Info>The kind of guest</Info>
      <Description>{virtualbox}</Description>
      <vbox:OSType ovf:required="false">{virtualbox}</vbox:OSType>
    </OperatingSystemSection>
"""


def _hardware(name: str, profile: Profile, disks: int) -> str:
    return f"""\
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{escape(name)}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-11 virtualbox-2.2</vssd:VirtualSystemType>
      </System>
{"".join(_items(profile, disks))}{_firmware(profile)}    </VirtualHardwareSection>
"""


def _annotation(profile: Profile) -> str:
    words = safe("\n".join(filter(None, (profile.description, profile.notes))))
    if not words:
        return ""
    return (
        "    <AnnotationSection>\n      <Info>Notes</Info>\n"
        f"      <Annotation>{escape(words)}</Annotation>\n    </AnnotationSection>\n"
    )


def _items(profile: Profile, disks: int) -> Iterator[str]:
    cpus, cores = profile.cpu.count, profile.cpu.cores * profile.cpu.threads
    each = f'        <vmw:CoresPerSocket ovf:required="false">{cores}</vmw:CoresPerSocket>\n'
    yield _item(1, _CPU, f"{cpus} virtual CPUs", each if cores > 1 else "",
                AllocationUnits="hertz * 10^6", VirtualQuantity=cpus)  # fmt: skip
    mib = profile.memory // 2**20
    yield _item(2, _MEMORY, f"{mib} MB of memory",
                AllocationUnits="byte * 2^20", VirtualQuantity=mib)  # fmt: skip
    yield _item(3, _STORAGE, "SATA controller", Address=0, ResourceSubType="AHCI")
    for number in range(disks):
        yield _item(10 + number, _DISK, f"Disk {number + 1}", AddressOnParent=number,
                    HostResource=f"ovf:/disk/vmdisk{number + 1}", Parent=3)  # fmt: skip
    if profile.cdroms:
        yield _item(30, _DVD, "CD drive", AddressOnParent=disks, AutomaticAllocation="false",
                    Parent=3)  # fmt: skip
    for number, network in enumerate(profile.networks):
        kind = "E1000e" if network.model is Nic.E1000E else "E1000"
        plugged = "true" if network.mode == "user" else "false"
        yield _item(40 + number, _NIC, f"Ethernet {number + 1}", AddressOnParent=number,
                    AutomaticAllocation=plugged, Connection="NAT",
                    ResourceSubType=kind)  # fmt: skip


def _item(number: int, kind: int, what: str, last: str = "", **more: object) -> str:
    """Its children stand in the order of their names, as the schema wants them; others `last`."""
    values = {"ElementName": what, "InstanceID": number, "ResourceType": kind, **more}
    lines = "".join(
        f"        <rasd:{key}>{escape(str(values[key]))}</rasd:{key}>\n" for key in sorted(values)
    )
    return f"      <Item>\n{lines}{last}      </Item>\n"


def _firmware(profile: Profile) -> str:
    if profile.boot.firmware is Firmware.BIOS:
        return ""
    said = {"firmware": "efi"}
    if profile.boot.firmware is Firmware.UEFI_SECURE:
        said["bootOptions.efiSecureBootEnabled"] = "true"
    return "".join(
        f'      <vmw:Config ovf:required="false" vmw:key="{key}" vmw:value="{value}"/>\n'
        for key, value in said.items()
    )


def _own(profile: Profile) -> str:
    words = {
        "chipset": "pc" if profile.machine.chipset == "pc" else "q35",
        "cpu": profile.cpu.model,
        "family": profile.family.value,
        "clock": profile.clock.value,
        "buses": " ".join(drive.bus.value for drive in profile.drives),
        "adapters": " ".join(network.model.value for network in profile.networks),
    }
    said = "".join(f" own:{key}={quoteattr(safe_line(value))}" for key, value in words.items())
    return (
        f'    <own:WorkstationSection ovf:required="false"{said}>\n'
        "      <Info>What the guest was used to</Info>\n    </own:WorkstationSection>\n"
    )

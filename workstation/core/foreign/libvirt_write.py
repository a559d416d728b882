"""A machine as a libvirt domain (its formatdomain documentation)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from workstation.model.machine import Definition
from workstation.model.profile import Bus, Clock, Drive, Family, Firmware, Profile
from workstation.model.text import safe

_TARGETS: Mapping[Bus, tuple[str, str]] = {
    Bus.VIRTIO: ("vd", "virtio"), Bus.SCSI: ("sd", "scsi"), Bus.SATA: ("sd", "sata"),
    Bus.IDE: ("hd", "ide"), Bus.NVME: ("sd", "sata"),
}  # fmt: skip
"""Prefix of the guest's name for it, and libvirt's bus; it has no emulated NVMe from files."""

_MODES = {"host": "host-passthrough", "max": "maximum"}
_VERSION = re.compile(r"-v[0-9]+$")


def write_libvirt(name: str, definition: Definition, disks: Sequence[Path], *, kvm: bool) -> str:
    """The XML; `disks` are the qcow2 files of its drives, in their order."""
    profile = definition.profile
    board = "pc" if profile.machine.chipset == "pc" else "q35"
    notes = safe("\n".join(filter(None, (profile.description, profile.notes))))
    mode = f"firmware={quoteattr('efi')}" if profile.boot.firmware is not Firmware.BIOS else ""
    return f"""\
<domain type="{"kvm" if kvm else "qemu"}">
  <name>{escape(name)}</name>
  <uuid>{definition.uuid}</uuid>
{f"  <description>{escape(notes)}</description>{chr(10)}" if notes else ""}\
  <memory unit="MiB">{profile.memory // 2**20}</memory>
  <vcpu>{profile.cpu.count}</vcpu>
  <os{" " + mode if mode else ""}>
    <type arch="x86_64" machine="{board}">hvm</type>
{_secure(profile)}    <boot dev="hd"/>
{'    <boot dev="cdrom"/>' + chr(10) if profile.cdroms else ""}\
  </os>
  <features>
    <acpi/>
    <apic/>
{_hyperv(profile)}{"    <smm state='on'/>" + chr(10) if _is_secure(profile) else ""}\
  </features>
{_cpu(profile)}  <clock offset="{"localtime" if profile.clock is Clock.LOCALTIME else "utc"}"/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
{"".join(_disks(profile.drives, disks))}{"".join(_discs(profile))}{"".join(_networks(profile))}\
{"".join(_others(profile))}  </devices>
</domain>
"""


def _is_secure(profile: Profile) -> bool:
    return profile.boot.firmware is Firmware.UEFI_SECURE


def _secure(profile: Profile) -> str:
    if profile.boot.firmware is Firmware.BIOS:
        return ""
    state = "yes" if _is_secure(profile) else "no"
    return (
        f'    <firmware>\n      <feature enabled="{state}" name="enrolled-keys"/>\n'
        f'      <feature enabled="{state}" name="secure-boot"/>\n    </firmware>\n'
    )


def _hyperv(profile: Profile) -> str:
    if profile.family is not Family.WINDOWS:
        return ""
    return '    <hyperv>\n      <relaxed state="on"/>\n      <vapic state="on"/>\n    </hyperv>\n'


def _cpu(profile: Profile) -> str:
    cpu = profile.cpu
    shape = f'sockets="{cpu.sockets}" cores="{cpu.cores}" threads="{cpu.threads}"'
    if cpu.model in _MODES:
        return f'  <cpu mode="{_MODES[cpu.model]}">\n    <topology {shape}/>\n  </cpu>\n'
    model = _VERSION.sub("", cpu.model)  # libvirt knows QEMU's models without their versions
    return (
        '  <cpu mode="custom" match="exact">\n'
        f'    <model fallback="allow">{escape(model)}</model>\n'
        f"    <topology {shape}/>\n  </cpu>\n"
    )


def _disks(drives: Sequence[Drive], files: Sequence[Path]) -> Iterator[str]:
    taken: dict[str, int] = {}
    for drive, file in zip(drives, files, strict=True):
        prefix, bus = _TARGETS[drive.bus]
        number = taken[prefix] = taken.get(prefix, -1) + 1
        discard = ' discard="unmap"' if drive.discard else ""
        yield (
            f'    <disk type="file" device="disk">\n      <driver name="qemu" type="qcow2"'
            f' cache="{drive.cache.value}"{discard}/>\n'
            f"      <source file={quoteattr(str(file))}/>\n"
            f'      <target dev="{prefix}{chr(ord("a") + number)}" bus="{bus}"/>\n    </disk>\n'
        )


def _discs(profile: Profile) -> Iterator[str]:
    for number, _ in enumerate(profile.cdroms):
        # Names that no disk has: there are 16 at most.
        letter = chr(ord("w") + number)
        bus = "ide" if profile.machine.chipset == "pc" else "sata"
        name = f"hd{chr(ord('c') + number)}" if bus == "ide" else f"sd{letter}"
        yield (
            f'    <disk type="file" device="cdrom">\n      <target dev="{name}" bus="{bus}"/>\n'
            "      <readonly/>\n    </disk>\n"
        )


def _networks(profile: Profile) -> Iterator[str]:
    for network in profile.networks:
        mac = f'      <mac address="{network.mac}"/>\n' if network.mac else ""
        link = "" if network.mode == "user" else '      <link state="down"/>\n'
        yield (
            f'    <interface type="user">\n{mac}'
            f'      <model type="{network.model.value}"/>\n{link}    </interface>\n'
        )


def _others(profile: Profile) -> Iterator[str]:
    devices = profile.devices
    if any(drive.bus is Bus.SCSI for drive in profile.drives):
        yield '    <controller type="scsi" model="virtio-scsi"/>\n'
    if devices.serial:
        yield '    <serial type="pty"/>\n    <console type="pty"/>\n'
    if devices.agent:
        yield ('    <channel type="unix">\n      <target type="virtio"'
               ' name="org.qemu.guest_agent.0"/>\n    </channel>\n')  # fmt: skip
    if devices.usb_tablet:
        yield '    <input type="tablet" bus="usb"/>\n'
    if devices.tpm:
        yield ('    <tpm model="tpm-crb">\n      <backend type="emulator" version="2.0"/>\n'
               "    </tpm>\n")  # fmt: skip
    if profile.display.adapter != "none":
        model = "virtio" if profile.display.adapter == "virtio" else "vga"
        yield '    <graphics type="vnc"/>\n'
        yield f'    <video>\n      <model type="{model}"/>\n    </video>\n'
    if devices.sound == "hda":
        yield '    <sound model="ich9"/>\n'
    if devices.rng:
        yield ('    <rng model="virtio">\n      <backend model="random">/dev/urandom</backend>\n'
               "    </rng>\n")  # fmt: skip
    yield f'    <memballoon model="{"virtio" if devices.balloon else "none"}"/>\n'
    if devices.panic:
        yield '    <panic model="isa"/>\n'

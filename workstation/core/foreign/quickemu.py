"""A Quickemu configuration: lines of shell that are read, never run."""

import re
from collections.abc import Mapping

from workstation.core.foreign.described import (
    DEFAULT_MEMORY,
    Adapter,
    Described,
    Medium,
    plain_name,
)
from workstation.errors import InvalidError
from workstation.model.profile import Bus, Clock, Family, Firmware, Nic
from workstation.model.units import parse_size

MOST_BYTES = 65_536

_LINE = re.compile(r"""([a-z_][a-z0-9_]*)=(?:"([^"$`\\]*)"|'([^']*)'|([^\s"'$`\\();&|<>]*)|"""
                   r"""\(([^()$`\\;&|<>]*)\))\s*(?:\#.*)?""")  # fmt: skip
_FAMILIES = {"linux": Family.LINUX, "linux_old": Family.LINUX, "windows": Family.WINDOWS,
             "windows-server": Family.WINDOWS, "freebsd": Family.BSD, "ghostbsd": Family.BSD,
             "dragonflybsd": Family.BSD, "netbsd": Family.BSD, "openbsd": Family.BSD}  # fmt: skip
_FORWARD = re.compile(r"[0-9]{1,5}:[0-9]{1,5}")

DEFAULT_DISK = 16 * 2**30

_READ = {
    "guest_os", "disk_img", "disk_size", "disk_format", "iso", "fixed_iso", "ram", "cpu_cores",
    "boot", "secureboot", "tpm", "port_forwards", "network", "sound_card", "macaddr",
}  # fmt: skip
_OF_NO_MATTER = {
    "display", "viewer", "width", "height", "gl", "fullscreen", "status_quo", "preallocation",
    "keyboard", "keyboard_layout", "mouse", "usb_controller", "spice_port", "ssh_port",
    "monitor", "monitor_telnet_host", "monitor_telnet_port", "monitor_cmd", "serial",
    "serial_telnet_host", "serial_telnet_port", "access", "ignore_msrs_always", "braille",
}  # fmt: skip
"""How Quickemu itself shows the machine."""


def looks_like(text: str) -> bool:
    """Whether it sets the variables that every Quickemu configuration has."""
    return bool(
        re.search(r"^guest_os=", text, re.MULTILINE)
        and re.search(r"^(disk_img|iso|img)=", text, re.MULTILINE)
    )


def read_quickemu(text: str, file: str) -> Described:
    """Raises InvalidError for lines that would have to be run."""
    values = _values(text, file)
    guest = values.get("guest_os", "linux")
    if guest == "macos":
        raise InvalidError("macOS guests cannot be had here")
    dropped = [
        f"{key}: {value}" if value else key
        for key, value in values.items()
        if key not in _READ and key not in _OF_NO_MATTER
    ]
    if guest not in _FAMILIES:
        dropped.append(f"the guest's kind, {guest}: “other” instead")
    family = _FAMILIES.get(guest, Family.OTHER)
    return Described(
        name=plain_name(file.removesuffix(".conf")),
        family=family,
        cores=_number(values, "cpu_cores", 2),
        memory=_size(values, "ram", DEFAULT_MEMORY) // 2**20 * 2**20,
        cpu_model="portable",
        firmware=_firmware(values, dropped),
        clock=Clock.LOCALTIME if family is Family.WINDOWS else Clock.UTC,
        disks=(_disk(values, family),),
        discs=tuple(Medium(values[key], "iso") for key in ("iso", "fixed_iso") if values.get(key)),
        adapters=_adapters(values, family, dropped),
        sound=values.get("sound_card", "intel-hda") not in ("none", ""),
        tpm=values.get("tpm") == "on",
        dropped=tuple(dropped),
    )


def _values(text: str, file: str) -> dict[str, str]:
    """What is set, by name; a list's words with a space between."""
    found = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise InvalidError(
                f"line {number} of {file} is more than a setting",
                hint='only lines such as ram="4G" are read; nothing in it is run',
            )
        words = next((one for one in match.groups()[1:] if one is not None), "")
        found[match[1]] = " ".join(words.replace('"', " ").replace("'", " ").split())
    return found


def _number(values: Mapping[str, str], key: str, default: int) -> int:
    text = values.get(key, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else default


def _size(values: Mapping[str, str], key: str, default: int) -> int:
    text = values.get(key, "")
    if not text:
        return default
    try:
        return parse_size(text)
    except ValueError:
        raise InvalidError(f"{key} is “{text}”, which is no size") from None


def _firmware(values: Mapping[str, str], dropped: list[str]) -> Firmware:
    if values.get("boot", "efi") != "efi":
        return Firmware.BIOS
    dropped.append("the UEFI variables: the firmware looks for a boot loader anew")
    return Firmware.UEFI_SECURE if values.get("secureboot") == "on" else Firmware.UEFI


def _disk(values: Mapping[str, str], family: Family) -> Medium:
    """Quickemu gives guests a virtio disk, but for those that have no driver for it."""
    file = values.get("disk_img", "")
    said = values.get("disk_format") or ("qcow2" if file.endswith(".qcow2") else "")
    bus = Bus.SATA if family is Family.WINDOWS else Bus.VIRTIO
    return Medium(file, said, _size(values, "disk_size", DEFAULT_DISK), bus)


def _adapters(values: Mapping[str, str], family: Family, dropped: list[str]) -> tuple[Adapter, ...]:
    network = values.get("network", "user")
    if network == "none":
        return ()
    if network not in ("", "user", "restrict"):
        dropped.append(f"the network bridge {network}: the guest reaches out through this host")
    forwards = values.get("port_forwards", "").split()
    dropped += [f"the forward {one}" for one in forwards if not _FORWARD.fullmatch(one)]
    kept = tuple(one for one in forwards if _FORWARD.fullmatch(one))
    model = Nic.E1000E if family is Family.WINDOWS else Nic.VIRTIO
    return (Adapter(model, values.get("macaddr", ""), forwards=kept),)

"""For the tests of the command line: a host that is always the same, and QEMU's own reading."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from workstation.core.machine.create import pin
from workstation.model.host import FirmwareFiles, HostFacts
from workstation.model.machine import Definition
from workstation.model.profile import Accelerator, Cdrom, Drive, Firmware, Profile, Share
from workstation.paths import MONITORS, MachinePaths
from workstation.qemu.argv import Launch
from workstation.qemu.blockdev import DiskFile, Format
from workstation.qemu.firmware import find_firmware

FACTS = HostFacts(
    qemu="/usr/bin/qemu-system-x86_64",
    qemu_version=(7, 2, 0),
    machine_types={"q35": "pc-q35-7.2", "pc": "pc-i440fx-7.2", "microvm": "microvm"},
    kvm=True,
    firmware=(
        FirmwareFiles("/fw/CODE.secure.fd", "/fw/VARS.secure.fd", True, machines=("pc-q35-*",)),
        FirmwareFiles("/fw/CODE.fd", "/fw/VARS.fd", False),
    ),
    swtpm="/usr/bin/swtpm",
    virtiofsd="/usr/libexec/virtiofsd",
    audio="pa",
)

LISTENERS = (*(f"monitor{number}" for number in range(MONITORS)), "serial", "agent", "leash")
CABLES = tuple(f"net{number}" for number in range(8))
DESCRIPTORS = {name: number for number, name in enumerate((*LISTENERS, "tpm", *CABLES), 10)}


def launch_of(
    profile: Profile, accelerator: Accelerator, *, root: str = "/ws", **facts: Any
) -> Launch:
    """A launch of that profile on a fixed host, without touching any file."""
    networks = tuple(
        network.model_copy(update={"mac": network.mac or f"52:54:00:00:00:{number:02x}"})
        for number, network in enumerate(profile.networks)
    )
    host = replace(FACTS, **facts)
    pinned = pin(profile.model_copy(update={"networks": networks}), host, profile.name)
    machine = MachinePaths(
        Path(f"{root}/data/machines/{profile.name}"), Path(f"{root}/run/{profile.name}")
    )
    uefi = profile.boot.firmware is not Firmware.BIOS
    return Launch(
        paths=machine,
        definition=Definition(
            uuid=UUID("12345678-1234-4234-8234-123456789abc"),
            created=datetime(2025, 1, 1, tzinfo=UTC),
            profile=pinned,
        ),
        facts=host,
        accelerator=accelerator,
        drives=tuple(_chain(machine, number, drive) for number, drive in enumerate(profile.drives)),
        discs=tuple(_disc(root, drive) for drive in profile.cdroms),
        kernel=machine.kernel if profile.boot.kernel else None,
        initrd=machine.initrd if profile.boot.initrd else None,
        firmware=find_firmware(host, profile.boot.firmware, pinned.machine.type) if uefi else None,
        nvram=(DiskFile(machine.overlay(HEAD, "nvram")),) if uefi else (),
        forwards=tuple(network.forwards for network in profile.networks),
        shares=tuple(_directory(share) for share in profile.shares),
        listeners=DESCRIPTORS,
    )


def _chain(machine: MachinePaths, number: int, drive: Drive) -> tuple[DiskFile, ...]:
    head = DiskFile(machine.overlay(HEAD, f"drive{number}"))
    if not drive.image:
        return (head,)
    kind: Format = "raw" if drive.image.endswith(".raw") else "qcow2"
    layers = machine.data.parent.parent / "layers"
    return (head, DiskFile(layers / LAYER / f"drive{number}.{kind}", format=kind))


def _disc(root: str, drive: Cdrom) -> Path | None:
    if not drive.image:
        return None
    return Path(drive.image if drive.image.startswith("/") else f"{root}/images/{drive.image}")


def _directory(share: Share) -> Path:
    return Path(share.path.replace("~/", "/home/me/"))


# -- how QEMU reads it (util/qemu-option.c, docs/system/invocation) -------------

HEAD, LAYER = "00112233445566aa", "aabbccddeeff0011"

_ALONE = {"-nodefaults", "-no-user-config", "-S"}
_RAW = {
    "-kernel",
    "-initrd",
    "-append",
    "-uuid",
    "-serial",
    "-gdb",
    "-accel",
    "-incoming",
    "-add-fd",
}
_IMPLIED = {
    "-machine": "type",
    "-cpu": "model",
    "-sandbox": "enable",
    "-chardev": "backend",
    "-mon": "chardev",
    "-fsdev": "fsdriver",
    "-tpmdev": "type",
    "-audiodev": "driver",
    "-vnc": "vnc",
    "-name": "guest",
    "-m": "size",
    "-smp": "cpus",
    "-display": "type",
    "-global": "",
    "-msg": "",
    "-rtc": "",
    "-action": "",
    "-boot": "order",
}


JSON = {"-blockdev", "-device", "-netdev", "-object"}


def options(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(option, value) pairs, as QEMU splits its arguments; raises where a word is no option."""
    words = iter(argv[1:])
    for word in words:
        if word in _ALONE:
            yield word, ""
        elif word in _RAW or word in _IMPLIED or word in JSON:
            yield word, next(words)
        else:
            raise AssertionError(f"{word!r} stands where an option is expected")


def option_lines(argv: Sequence[str]) -> list[str]:
    return [argv[0], *(f"{name} {value}".strip() for name, value in options(argv))]


def values_of(option: str, argv: Sequence[str]) -> list[str]:
    return [value for name, value in options(argv) if name == option]


def split_options(text: str, implied: str) -> dict[str, str]:
    """`a=1,b=x,,y` as QEMU's `opts_do_parse` reads it."""
    found: dict[str, str] = {}
    position, first = 0, implied
    while position < len(text):
        end = next((i for i in range(position, len(text)) if text[i] in "=,"), len(text))
        if end < len(text) and text[end] == "=":
            key, position = text[position:end], end + 1
        elif first:
            key = first
        else:
            found[text[position:end]] = "on"
            position, first = end + 1, ""
            continue
        value = ""
        while position < len(text):
            if text[position] == ",":
                if text[position + 1 : position + 2] != ",":
                    break
                position += 1
            value += text[position]
            position += 1
        position += 1
        first = ""
        assert key not in found, f"{key} twice in {text}"
        found[key] = value
    return found


def read(name: str, value: str) -> Any:
    """An option's value as QEMU understands it."""
    if name in JSON:
        return json.loads(value)
    return split_options(value, _IMPLIED[name]) if name in _IMPLIED else value


def shape(value: Any) -> Any:
    """The keys and kinds of a value, its texts left out."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return type(value).__name__

"""A profile becomes a machine: everything that a guest can see is pinned, its head is made."""

import asyncio
import secrets
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from workstation.core import library
from workstation.core.images import Images
from workstation.errors import InvalidError, UsageError
from workstation.model.host import HostFacts
from workstation.model.machine import Definition
from workstation.model.profile import Cpu, Drive, Firmware, Network, Profile
from workstation.model.units import format_size
from workstation.paths import MachinePaths, Paths
from workstation.profile.dump import dump_definition
from workstation.qemu import image, qcow2
from workstation.qemu.argv import PORTABLE_CPU
from workstation.qemu.blockdev import DiskFile, Format
from workstation.qemu.firmware import find_firmware


async def create_machine(
    paths: Paths, facts: HostFacts, name: str, profile: Profile, *, based_on: str
) -> Definition:
    """Make the machine `name`; it is there whole when this returns, or not at all."""
    definition = Definition(
        uuid=uuid4(),
        created=datetime.now(UTC).replace(microsecond=0),
        based_on=based_on,
        profile=pin(profile, facts, name),
    )
    images = Images(paths)
    with library.making(paths, name) as machine:
        machine.head.mkdir(mode=0o700)
        await asyncio.to_thread(_adopt_boot_files, definition.profile, images, machine)
        for number, drive in enumerate(definition.profile.drives):
            await _make_drive(facts, images, machine, number, drive)
        await _make_variables(facts, definition.profile, machine)
        machine.file.write_text(dump_definition(definition, name))
        machine.file.chmod(0o600)
        await asyncio.to_thread(library.sync_tree, machine.data)
    return definition


def pin(profile: Profile, facts: HostFacts, name: str) -> Profile:
    """The profile with the versioned machine type, the CPU model and the MACs filled in."""
    kind = profile.machine.type
    machine = profile.machine.model_copy(update={"type": facts.machine_types.get(kind, kind)})
    model = PORTABLE_CPU if profile.cpu.model == Cpu().model else profile.cpu.model
    _check_cpu(model, facts)
    return profile.model_copy(
        update={
            "name": name,
            "machine": machine,
            "cpu": profile.cpu.model_copy(update={"model": model}),
            "networks": tuple(_with_mac(network) for network in profile.networks),
        }
    )


def _check_cpu(model: str, facts: HostFacts) -> None:
    if facts.cpu_models and model not in facts.cpu_models | {"host", "max"}:
        raise InvalidError(
            f"this QEMU knows no CPU model “{model}”",
            hint="qemu-system-x86_64 -cpu help lists them; “portable” suits most",
        )


def _with_mac(network: Network) -> Network:
    if network.mac:
        return network
    # 52:54:00 is the prefix that QEMU uses, in the locally administered range.
    tail = ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
    return network.model_copy(update={"mac": f"52:54:00:{tail}"})


def _adopt_boot_files(profile: Profile, images: Images, machine: MachinePaths) -> None:
    for reference, target in (
        (profile.boot.kernel, machine.kernel),
        (profile.boot.initrd, machine.initrd),
    ):
        if reference:
            source = images.resolve(reference)
            library.adopt_file(source, target, trusted=images.owns(source))


async def _make_drive(
    facts: HostFacts, images: Images, machine: MachinePaths, number: int, drive: Drive
) -> None:
    size = drive.size or 0
    if drive.image:
        size = await asyncio.to_thread(_adopt_base, images, machine, number, drive)
    await image.create_overlay(facts.qemu_img, machine.overlay(f"drive{number}"), size)


def _adopt_base(images: Images, machine: MachinePaths, number: int, drive: Drive) -> int:
    """Put the drive's image below its head; returns the drive's size in bytes."""
    source = images.resolve(drive.image or "")
    image_format = qcow2.format_of(source)
    least = qcow2.virtual_size(source, image_format)
    if drive.size is not None and drive.size < least:
        raise UsageError(
            f"drives[{number}].size is {format_size(drive.size)}, and its image has"
            f" {format_size(least)}",
            hint="a drive cannot be smaller than its image",
        )
    base = machine.base(f"drive{number}", image_format)
    library.adopt_file(source, base, trusted=images.owns(source))
    if qcow2.virtual_size(base, image_format) != least:
        raise UsageError(f"{source} changed while it was copied", hint="try again")
    return drive.size or least


async def _make_variables(facts: HostFacts, profile: Profile, machine: MachinePaths) -> None:
    if profile.boot.firmware is Firmware.BIOS:
        return
    firmware = find_firmware(facts, profile.boot.firmware, profile.machine.type)
    template_format: Format = "qcow2" if firmware.variables_format == "qcow2" else "raw"
    template = Path(firmware.variables)
    await image.convert(facts.qemu_img, template, template_format, machine.overlay("nvram"))


def chain_of(machine: MachinePaths, number: int) -> tuple[DiskFile, ...]:
    """The files of a drive, from its head to its base."""
    name = f"drive{number}"
    head = DiskFile(machine.overlay(name))
    formats: tuple[Format, ...] = ("qcow2", "raw")
    bases = (DiskFile(machine.base(name, kind), kind) for kind in formats)
    return (head, *(base for base in bases if base.path.exists()))

"""A profile becomes a machine: everything that a guest can see is pinned, its head is made."""

import asyncio
import hashlib
import secrets
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from workstation.core.duplicate import adopt_file
from workstation.core.images import Images
from workstation.core.images.manifest import digest as sha256
from workstation.core.layers import heads
from workstation.core.layers.store import Store
from workstation.core.library import library
from workstation.core.provision import outline
from workstation.core.provision.supply import supply
from workstation.errors import InvalidError, UsageError
from workstation.model.host import HostFacts
from workstation.model.layer import Head, History, Layer, LayerFile
from workstation.model.machine import Definition
from workstation.model.profile import Cpu, Drive, Firmware, Network, Profile, Share
from workstation.model.units import format_size
from workstation.paths import MachinePaths, Paths
from workstation.profile.dump import dump_definition
from workstation.qemu import image, qcow2, virtiofs
from workstation.qemu.argv import PORTABLE_CPU
from workstation.qemu.blockdev import Format
from workstation.qemu.firmware import find_firmware


async def create_machine(
    paths: Paths, facts: HostFacts, name: str, profile: Profile, *, based_on: str, base: str = ""
) -> Definition:
    """Make the machine `name`; it is there whole when this returns, or not at all.

    With `base` its drives stand on that layer, which the caller keeps from being collected;
    without one, on the images that the profile names.
    """
    definition = Definition(
        uuid=uuid4(),
        created=datetime.now(UTC).replace(microsecond=0),
        based_on=based_on,
        profile=pin(outline.kept(profile, name), facts, name),
    )
    images, store = Images(paths), Store(paths)
    with store.adding(), library.making(paths, name) as machine:
        await asyncio.to_thread(_adopt_boot_files, definition.profile, images, machine)
        await asyncio.to_thread(supply, profile, definition, machine, Path.home())
        layer: str | None = base
        if not base:
            layer = await asyncio.to_thread(_make_base, store, images, definition.profile)
        sizes = _sizes(store, layer, definition.profile)
        head = await heads.make_head(machine, sizes)
        await _make_variables(facts, definition.profile, machine.overlay(head, "nvram"))
        heads.write_history(machine, History(head=Head(id=head, layer=layer)))
        write_definition(machine, definition, name)
        await asyncio.to_thread(library.sync_tree, machine.data)
    return definition


def write_definition(machine: MachinePaths, definition: Definition, name: str) -> None:
    """The machine's file, before the machine is there."""
    machine.file.write_text(dump_definition(definition, name))
    machine.file.chmod(0o600)


def bootable(profile: Profile, facts: HostFacts) -> Profile:
    """The profile with a machine type that this QEMU has: of a version that it lacks, because
    another QEMU pinned it or this one has dropped it, the newest of the same kind.

    For a cold boot: memory goes on under the very same type only.
    """
    kind = profile.machine.type
    if kind in facts.machine_types or not kind.startswith(("pc-q35-", "pc-i440fx-")):
        return profile
    ours = facts.machine_types.get(profile.machine.chipset, kind)
    machine = profile.machine.model_copy(update={"type": ours})
    return profile.model_copy(update={"machine": machine})


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
            "networks": tuple(n if n.mac else _with_mac(n) for n in profile.networks),
            "shares": tuple(_with_mode(share, facts) for share in profile.shares),
        }
    )


def _with_mode(share: Share, facts: HostFacts) -> Share:
    if share.mode != "auto":
        return share
    works = not virtiofs.trouble(facts.virtiofsd, writable=share.writable)
    return share.model_copy(update={"mode": "virtiofs" if works else "9p"})


def _check_cpu(model: str, facts: HostFacts) -> None:
    if facts.cpu_models and model not in facts.cpu_models | {"host", "max"}:
        raise InvalidError(
            f"this QEMU knows no CPU model “{model}”",
            hint="qemu-system-x86_64 -cpu help lists them; “portable” suits most",
        )


def with_new_macs(profile: Profile) -> Profile:
    """The profile with other MAC addresses: for a machine beside the one that it was pinned for."""
    networks = tuple(_with_mac(network) for network in profile.networks)
    return profile.model_copy(update={"networks": networks})


def _with_mac(network: Network) -> Network:
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
            adopt_file(source, target, trusted=images.owns(source))


def _make_base(store: Store, images: Images, profile: Profile) -> str | None:
    """A layer of the images that the drives start as; None where all of them are blank."""
    wanted = {f"drive{n}": drive for n, drive in enumerate(profile.drives) if drive.image}
    if not wanted:
        return None
    shared = base_id(images, profile)
    if shared in store.ids():
        if _holds(store, shared, images, profile):
            return shared
        shared = ""
    with store.making() as directory:
        files = {}
        for name, drive in wanted.items():
            files[name] = _adopt_image(images, drive, name, directory)
        layer = Layer(
            id=shared or directory.name,
            created=datetime.now(UTC).replace(microsecond=0),
            note="images",
            profile=profile,
            drives=files,
        )
        store.describe(layer, directory)
        _publish(store, layer, directory)
    return layer.id


def _publish(store: Store, layer: Layer, directory: Path) -> None:
    try:
        store.publish(layer, directory)
    except OSError:
        # Another program has just made the same one.
        if layer.id not in store.ids():
            raise


def _holds(store: Store, layer: str, images: Images, profile: Profile) -> bool:
    """Whether its files are those images: one of that id may have come in a stranger’s bundle."""
    for number, drive in enumerate(profile.drives):
        if drive.image:
            source = images.resolve(drive.image)
            file = store.directory(layer) / f"drive{number}.{qcow2.format_of(source)}"
            if not file.exists():
                return False
            if not file.samefile(source) and sha256(file) != images.digest(source):
                return False
    return True


def base_id(images: Images, profile: Profile) -> str:
    """The id of the layer of the profile's images: machines that would have it alike share it.

    Empty where an image is a person's own file, which may change: what it holds now counts only.
    """
    digests = []
    for drive in profile.drives:
        digest = images.digest(images.resolve(drive.image)) if drive.image else "blank"
        if not digest:
            return ""
        digests.append(digest)
    # What a clone of that layer takes from it, but for names and addresses: those are each one's.
    networks = tuple(n.model_copy(update={"mac": None}) for n in profile.networks)
    alike = profile.model_copy(update={"name": "shared", "networks": networks})
    words = "\n".join((*digests, alike.model_dump_json()))
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def _adopt_image(images: Images, drive: Drive, name: str, directory: Path) -> LayerFile:
    reference = drive.image or ""
    source = images.resolve(reference)
    image_format = qcow2.format_of(source)
    least = qcow2.virtual_size(source, image_format)
    if drive.size is not None and drive.size < least:
        raise UsageError(
            f"drives[{name.removeprefix('drive')}].size is {format_size(drive.size)}, and its"
            f" image has {format_size(least)}",
            hint="a drive cannot be smaller than its image",
        )
    file = LayerFile(name=f"{name}.{image_format}", format=image_format)
    target = directory / file.name
    adopt_file(source, target, trusted=images.owns(source))
    if qcow2.virtual_size(target, image_format) != least:
        raise UsageError(f"{source} changed while it was copied", hint="try again")
    return file


def _sizes(store: Store, base: str | None, profile: Profile) -> dict[str, int]:
    """The virtual size of each drive's overlay, in bytes."""
    return {
        f"drive{number}": drive.size or _size_below(store, base, f"drive{number}")
        for number, drive in enumerate(profile.drives)
    }


def _size_below(store: Store, base: str | None, name: str) -> int:
    file = store.disk_files(base, name)[0]
    return qcow2.virtual_size(file, file.format)


async def _make_variables(facts: HostFacts, profile: Profile, target: Path) -> None:
    if profile.boot.firmware is Firmware.BIOS:
        return
    firmware = find_firmware(facts, profile.boot.firmware, profile.machine.type)
    template_format: Format = "qcow2" if firmware.variables_format == "qcow2" else "raw"
    await image.convert(facts.qemu_img, Path(firmware.variables), template_format, target)

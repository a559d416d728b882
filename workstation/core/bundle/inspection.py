"""What is in a bundle, from whom, and whether it goes on here: each “no” with what to do."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workstation.core.bundle import verify
from workstation.core.bundle.keys import Keys
from workstation.core.bundle.reader import Bundle
from workstation.core.bundle.strip import stripped
from workstation.core.layers.resume import obstacles
from workstation.core.layers.store import Store
from workstation.core.machine.forwards import free_forwards
from workstation.errors import HostError, WorkstationError
from workstation.model.bundle import NVRAM, Manifest
from workstation.model.host import Finding, HostFacts, Level
from workstation.model.layer import Memory
from workstation.model.profile import Accelerator, Firmware, Profile
from workstation.model.units import format_size
from workstation.qemu.firmware import find_firmware
from workstation.qemu.workbench import workbench


@dataclass(frozen=True)
class Report:
    """What is known of a bundle that was not opened, only looked at."""

    path: Path
    size: int
    """Bytes."""
    manifest: Manifest
    signer: str
    """A fingerprint."""
    signer_name: str
    """What the person calls the signer; empty for a stranger."""
    trusted: bool
    cut_off: bool
    """An export onto it was cut off: it holds what was in it before."""
    verified: bool
    """All of it was read, and is as it was written."""
    in_place: bool
    """It can run from where it is."""
    new: int
    """Bytes that an import would copy."""
    findings: tuple[Finding, ...]
    """What this computer has for it, and lacks."""
    updates: str = ""
    """The machine that is here already, and could be brought up to date; empty for none."""

    @property
    def resumes(self) -> bool:
        """Whether it would go on from its memory here."""
        if not self.manifest.machine.resume or not self.trusted:
            return False
        return all(one.level is not Level.PROBLEM for one in self.findings)


@dataclass(frozen=True)
class Closed:
    """What is known of an encrypted bundle without its passphrase."""

    path: Path
    size: int
    """Bytes."""
    identity: str
    signer: str
    """The fingerprint of who signed its manifest, which is as it was signed."""
    signer_name: str
    trusted: bool


def memory_of(manifest: Manifest) -> Memory | None:
    """What the machine would go on from; None where it boots."""
    top = manifest.layer(manifest.machine.top)
    return top.layer.memory if top and manifest.machine.resume else None


def in_place(manifest: Manifest) -> bool:
    """Whether QEMU can read its disks where they lie, and all of them are there."""
    disks = (
        stored.file(file.name)
        for stored in manifest.layers
        for drive, file in stored.layer.drives.items()
        if drive != NVRAM
    )
    return not manifest.needed and all(disk and disk.in_one_piece for disk in disks)


def new_bytes(manifest: Manifest, store: Store) -> int:
    """Bytes that an import would copy: of layers that are not here."""
    here = set(store.ids())
    return sum(
        file.size for one in manifest.layers if one.layer.id not in here for file in one.files
    )


async def findings(
    bundle: Bundle, store: Store, keys: Keys, facts: HostFacts, accelerator: Accelerator
) -> list[Finding]:
    """Everything that matters for running it here, in the order in which a person would ask."""
    manifest = bundle.manifest
    clean, memory = stripped(manifest.machine.profile), memory_of(manifest)
    profile = clean.profile
    found = [_signer(bundle, keys, memory)]
    if memory:
        found += _memory(memory, facts, accelerator)
        found += await _cpu(memory, facts, accelerator)
    found += _host(profile, facts)
    found += _ports(profile)
    found += [
        Finding("host", Level.NOTE, f"it asks for {text}", "that is left out")
        for text in clean.left_out
    ]
    found += _layers(manifest, store)
    found += _room(new_bytes(manifest, store), store)
    return found


def _signer(bundle: Bundle, keys: Keys, memory: Memory | None) -> Finding:
    name = keys.name_of(bundle.signer)
    if name:
        return Finding("signature", Level.OK, f"by {bundle.signer} ({name})")
    text = f"by {bundle.signer}, whom you do not trust"
    if not memory:
        return Finding("signature", Level.NOTE, text, "open it only if you know who made it")
    mend = f"it boots; to go on from its memory: workstation trust add {bundle.path}"
    return Finding("signature", Level.NOTE, text, mend)


def _memory(memory: Memory, facts: HostFacts, accelerator: Accelerator) -> Iterator[Finding]:
    reasons = list(obstacles(memory, facts, accelerator))
    for reason in reasons:
        mend = "; ".join(filter(None, (reason.mend, "or boot it: its disks are the same")))
        yield Finding("memory", Level.PROBLEM, reason.what, mend)
    if not reasons:
        version = ".".join(map(str, memory.qemu_version))
        text = f"{memory.machine_type}, {memory.cpu_model}, {memory.accelerator}, QEMU {version}"
        yield Finding("memory", Level.OK, text)


async def _cpu(memory: Memory, facts: HostFacts, accelerator: Accelerator) -> list[Finding]:
    """What QEMU says this CPU lacks of the model that the guest saw."""
    if memory.cpu_model in ("host", "max") or memory.cpu_model not in facts.cpu_models:
        return []
    try:
        async with workbench(facts, accelerator) as session:
            models = await session.execute("query-cpu-definitions")
    except WorkstationError as error:
        return [Finding("CPU", Level.NOTE, f"QEMU cannot be asked: {error}")]
    lacking: list[str] = next(
        (one.get("unavailable-features", []) for one in models if one["name"] == memory.cpu_model),
        [],
    )
    if not lacking:
        return [Finding("CPU", Level.OK, f"has all of {memory.cpu_model}")]
    text = f"this CPU lacks of {memory.cpu_model}: {', '.join(lacking[:8])}"
    return [Finding("CPU", Level.PROBLEM, text, "boot it: its disks are the same")]


def _host(profile: Profile, facts: HostFacts) -> Iterator[Finding]:
    wanted, cpus = profile.memory, profile.cpu.count
    if facts.memory and wanted > facts.memory:
        text = f"it wants {format_size(wanted)}, and this computer has {format_size(facts.memory)}"
        yield Finding("RAM", Level.PROBLEM, text, "import it and give it less: it boots then")
    else:
        yield Finding("RAM", Level.OK, f"{format_size(wanted)} of {format_size(facts.memory)}")
    if cpus > facts.cpus:
        text = f"it has {cpus} CPUs, and this computer {facts.cpus}"
        yield Finding("CPUs", Level.NOTE, text, "it runs, only slower")
    if profile.boot.firmware is not Firmware.BIOS:
        try:
            find_firmware(facts, profile.boot.firmware, profile.machine.type)
        except HostError as error:
            yield Finding("firmware", Level.PROBLEM, str(error), error.hint)
        else:
            yield Finding("firmware", Level.OK, profile.boot.firmware.value)
    if profile.devices.tpm and not facts.swtpm:
        yield Finding("TPM", Level.PROBLEM, "swtpm is not installed", "install the package swtpm")


def _ports(profile: Profile) -> Iterator[Finding]:
    asked = [rule for network in profile.networks for rule in network.forwards]
    try:
        got = [rule for network in free_forwards(profile.networks) for rule in network]
    except HostError as error:
        yield Finding("ports", Level.PROBLEM, str(error), error.hint)
        return
    for wanted, given in zip(asked, got, strict=True):
        if wanted.host != given.host:
            text = f"host port {wanted.host} is taken"
            yield Finding("ports", Level.NOTE, text, f"{given.host} leads into it instead")


def _layers(manifest: Manifest, store: Store) -> Iterator[Finding]:
    missing = {one.id for one in manifest.needed} - set(store.ids())
    if missing:
        text = f"{len(missing)} layers that it stands on are neither here nor in it"
        yield Finding("layers", Level.PROBLEM, text, "import the bundle with the rest first")


def _room(needed: int, store: Store) -> Iterator[Finding]:
    directory = store.paths.data
    free = shutil.disk_usage(directory).free if directory.is_dir() else needed
    if needed > free:
        text = f"an import takes {format_size(needed)}, and {format_size(free)} is free"
        yield Finding("room", Level.NOTE, text, "make room, or run it from where it is")


def picture(bundle: Bundle) -> bytes:
    """The screen at the moment that it goes on from, as PPM; empty where there is none."""
    top = bundle.manifest.layer(bundle.manifest.machine.top)
    file = top.file(top.layer.picture) if top and top.layer.picture else None
    if file is None:
        return b""
    with verify.opened(bundle) as descriptor:
        pieces = verify.pieces([file], bundle.vault)
        return b"".join(bytes(verify.read_chunk(descriptor, piece)) for piece in pieces)

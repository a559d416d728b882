"""A machine into a bundle: planned first, so that what cannot be is refused before it is begun."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from workstation import __version__
from workstation.core.bundle import chunks, pipe, target
from workstation.core.bundle.pack import Packer
from workstation.core.bundle.source import SourceFile, SourceLayer
from workstation.core.bundle.strip import stripped
from workstation.core.bundle.vault import Vault
from workstation.core.bundle.work import Told
from workstation.core.bundle.writer import BundleWriter
from workstation.core.layers import heads
from workstation.errors import UsageError
from workstation.model.bundle import (
    CarriedMachine,
    Lock,
    Manifest,
    NeededLayer,
    StoredLayer,
    staying_disks,
)

if TYPE_CHECKING:
    from workstation.core.bundle.planning import Subject

OVERHEAD = 2**20
"""Bytes of headers and manifest, at most, beside a digest for each chunk."""


@dataclass(frozen=True)
class Wish:
    """How a machine is to be exported."""

    tag: str = ""
    """Only the way to this snapshot."""
    since: str = ""
    """Only what came after this snapshot."""
    flatten: bool = False
    compress: bool = False
    memory: bool = True
    passphrase: str = field(default="", repr=False)
    """Encrypted with it where there is one."""


class Plan(NamedTuple):
    """What will be in the bundle."""

    machine: CarriedMachine
    layers: tuple[SourceLayer, ...]
    """To be written, those below first."""
    kept: tuple[StoredLayer, ...] = ()
    """Already in the file."""
    needed: tuple[NeededLayer, ...] = ()
    left_out: tuple[str, ...] = ()
    compress: bool = False
    work: Path | None = None
    """Where a packed disk is put first that cannot be written where it is to lie."""
    identity: str = ""
    """Of the bundle that is added to."""
    end: int = 0
    """Where its content ends; 0 for a new one."""
    vault: Vault | None = None
    """What seals all of it."""
    lock: Lock | None = None
    """Of a new one that is encrypted."""

    @property
    def size(self) -> int:
        """Bytes to be read."""
        return sum(layer.size for layer in self.layers)


@dataclass(frozen=True)
class Exported:
    """What was written."""

    file: Path | None
    """None for a pipe."""
    written: int
    """Bytes that were added."""
    size: int
    """Bytes of the file now."""
    layers: int
    added: int
    """How many of them were written now."""
    memory: bool
    """Whether it goes on from memory."""
    left_out: tuple[str, ...]
    fingerprint: str
    medium: str = ""
    """What it can be pulled out as now; empty where it lies on a disk that stays."""


def carried(
    subject: "Subject", names: dict[str, str], sizes: Mapping[str, int]
) -> tuple[CarriedMachine, tuple[str, ...]]:
    """The machine as the bundle has it, and what was left out of its profile."""
    definition, golden = subject.definition, subject.history.golden
    clean = stripped(definition.profile, sizes)
    machine = CarriedMachine(
        name=subject.name,
        uuid=definition.uuid,
        created=definition.created,
        based_on=definition.based_on,
        profile=clean.profile.model_copy(update={"name": subject.name}),
        top=subject.top.id,
        resume=subject.resume,
        snapshots=names,
        golden=golden if golden in names else "",
    )
    return machine, clean.left_out


def write(plan: Plan, path: Path, key: Ed25519PrivateKey, told: Told) -> tuple[int, int]:
    """Returns bytes written and bytes of the file; it lasts then. Call it in a thread."""
    identity = plan.identity or heads.new_id()
    with _writer(path, identity, plan) as writer:
        _fill(writer, plan, identity, key, told)
        return writer.at - plan.end, writer.at


def stream(plan: Plan, descriptor: int, key: Ed25519PrivateKey, told: Told) -> int:
    """Write into a pipe; returns bytes written."""
    identity = heads.new_id()
    with pipe.outlet(descriptor, told) as outlet:
        writer = BundleWriter.begin(
            descriptor, identity, lock=plan.lock, vault=plan.vault, pipe=outlet
        )
        _fill(writer, plan, identity, key, told)
    return writer.at


def _writer(path: Path, identity: str, plan: Plan) -> AbstractContextManager[BundleWriter]:
    if plan.end:
        return target.existing_file(path, plan.end)
    return target.new_file(path, identity, plan.lock, plan.vault)


def _fill(
    writer: BundleWriter, plan: Plan, identity: str, key: Ed25519PrivateKey, told: Told
) -> None:
    stored = {one.layer.id: one for one in plan.kept}
    with chunks.workers() as workers:
        packer = Packer(writer, workers, plan.kept, told, compress=plan.compress,
                        vault=plan.vault, work=plan.work)  # fmt: skip
        for source in plan.layers:
            stored[source.layer.id] = packer.pack(source)
            source.learn(stored[source.layer.id])
    writer.seal(
        Manifest(
            id=identity,
            created=datetime.now(UTC).replace(microsecond=0),
            program=f"workstation {__version__}",
            machine=plan.machine,
            layers=_in_order(stored),
            needed=plan.needed,
            left_out=plan.left_out,
        ),
        key,
        plan.vault,
    )


def _in_order(stored: dict[str, StoredLayer]) -> tuple[StoredLayer, ...]:
    """Those below first: what is added may stand on what was there, and never the reverse."""
    placed: dict[str, StoredLayer] = {}

    def place(layer: str) -> None:
        if layer in stored and layer not in placed:
            if parent := stored[layer].layer.parent:
                place(parent)
            placed[layer] = stored[layer]

    for layer in stored:
        place(layer)
    return tuple(placed.values())


def check_target(plan: Plan, path: Path) -> None:
    """Raise HostError or UsageError where the file could not be written there.

    What will be compressed may come out smaller: only what is sure not to fit is refused.
    """
    target.check_fits(path, plan.end + _least(plan) + OVERHEAD, plan.end)


def _least(plan: Plan) -> int:
    """Bytes of what is written as it is, each content once."""
    found = {(file.size, file.digests) for one in plan.kept for file in one.files}
    least = 0
    for source in plan.layers:
        for file in source.files:
            known = file.known and (file.known.size, file.known.digests)
            if known in found or _is_packed(plan, source, file):
                continue
            found |= {known} if known else set()
            least += file.size
    return least


def _is_packed(plan: Plan, source: SourceLayer, file: SourceFile) -> bool:
    is_memory = source.layer.memory is not None and file.name == source.layer.memory.name
    is_small = plan.vault is not None and file.name not in staying_disks(source.layer)
    return is_memory or plan.compress or is_small


def check_pipe(descriptor: int) -> None:
    if os.isatty(descriptor):
        raise UsageError(
            "a bundle is nothing to look at",
            hint="send it on: workstation export NAME - | ssh laptop workstation import -",
        )

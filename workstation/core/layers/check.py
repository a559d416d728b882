"""`workstation store check`: is every layer whole, and everything there that stands on it?"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from workstation.core.layers import digests, heads
from workstation.core.layers.store import DIGESTS, Store
from workstation.core.library import names
from workstation.errors import WorkstationError
from workstation.model.host import HostFacts, Level
from workstation.paths import Paths
from workstation.qemu import image


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of one thing."""

    subject: str
    """`layer 0123…` or `machine NAME`."""
    level: Level
    text: str
    mend: str = ""
    """What to do, or what was done about it; empty where all is well."""


async def check(
    paths: Paths, store: Store, facts: HostFacts, *, repair: bool
) -> AsyncIterator[Checked]:
    """Look at every machine and every layer, and mend what can be mended; reads everything."""
    roots: list[str] = []
    for name in names.names(paths):
        for found in _machine(paths, store, name, roots):
            yield found
    kept = store.reachable(roots)
    for layer in store.ids():
        async for found in _layer(store, facts, layer, repair=repair):
            yield found
        if layer not in kept:
            mend = "workstation store gc deletes it"
            yield Checked(f"layer {layer}", Level.NOTE, "no machine stands on it", mend)


def _machine(paths: Paths, store: Store, name: str, roots: list[str]) -> Iterator[Checked]:
    machine, subject = paths.machine(name), f"machine {name}"
    try:
        history = heads.read_history(machine)
    except WorkstationError as error:
        mend = "its disks are in the directory heads; its layers are kept until this is mended"
        yield Checked(subject, Level.PROBLEM, str(error), mend)
        roots += store.ids()
        return
    roots += heads.roots(history)
    problems = list(_missing(store, history.head.layer, history.snapshots))
    if not machine.head(history.head.id).is_dir():
        problems.append("its head is missing")
    for problem in problems:
        yield Checked(subject, Level.PROBLEM, problem, "revert to another snapshot")
    if not problems:
        yield Checked(subject, Level.OK, f"{len(store.reachable(heads.roots(history)))} layers")


def _missing(store: Store, head: str | None, snapshots: dict[str, str]) -> Iterator[str]:
    wanted = {"its head": head, **{f"its snapshot {tag}": one for tag, one in snapshots.items()}}
    for what, layer in wanted.items():
        try:
            store.chain(layer)
        except WorkstationError as error:
            yield f"{what} stands on what is not there: {error}"


async def _layer(
    store: Store, facts: HostFacts, layer: str, *, repair: bool
) -> AsyncIterator[Checked]:
    subject, sound = f"layer {layer}", True
    async for problem, mend in _problems(store, facts, layer, repair=repair):
        sound = False
        yield Checked(subject, Level.NOTE if mend else Level.PROBLEM, problem, mend)
    if sound:
        yield Checked(subject, Level.OK, "whole")


async def _problems(
    store: Store, facts: HostFacts, layer: str, *, repair: bool
) -> AsyncIterator[tuple[str, str]]:
    """What is wrong with a layer, and how it is mended; no way to mend it where that is empty."""
    try:
        manifest = store.read(layer)
    except WorkstationError as error:
        yield str(error), ""
        return
    link = store.link(layer)
    if link and (away := _away(store, link.bundle)):
        yield away, "plug it in, and check again"
        return
    for drive, file in manifest.drives.items():
        disk = store.disk_file(manifest, drive)
        if not disk.there():
            yield f"{file.name} is missing", ""
        elif file.format == "qcow2":
            words = await image.check(facts.qemu_img, disk)
            if words:
                yield f"{file.name}: {words}", ""
    if not store.digests(layer):
        if repair:
            await asyncio.to_thread(digests.take, store, layer)
        yield "its digests were not taken", _mended(repair, "taken now")
    for name in await asyncio.to_thread(digests.differing, store, layer):
        yield f"{name} is not as it was frozen", ""
    writable = _writable(store, layer)
    if writable:
        if repair:
            store.protect(layer)
        yield f"{', '.join(writable)} can be written", _mended(repair, "made read-only")


def _away(store: Store, bundle: str) -> str:
    """Why a bundle that a layer lies in cannot be looked at; empty where it can."""
    try:
        store.bundle(bundle)
    except WorkstationError as error:
        return str(error)
    return ""


def _writable(store: Store, layer: str) -> list[str]:
    return [
        file.name
        for file in sorted(store.files(layer))
        if file.name != DIGESTS and file.stat().st_mode & 0o222
    ]


def _mended(repair: bool, done: str) -> str:
    return done if repair else "workstation store check --repair"

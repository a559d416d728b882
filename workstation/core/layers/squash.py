"""Making chains shorter: a layer is merged into what stands right on it.

Merging only adds copies to what stands above, so every chain stays right all the while; the
history says last that the layer is not needed any more. Into a head the copies go in place, by a
running guest's own QEMU or by one without a machine. A frozen layer cannot be written: it, and all
that stands on it, is made anew.
"""

import asyncio
from pathlib import Path

from workstation.core.layers import heads
from workstation.core.layers.freeze import Progress
from workstation.core.layers.mend import Pending, moving
from workstation.core.layers.store import Source, Store
from workstation.core.machine.machine import Machine
from workstation.core.room import IN_THE_LIBRARY, check_room
from workstation.errors import NotAllowedError
from workstation.model.host import HostFacts
from workstation.model.layer import Head, History, Layer
from workstation.qemu import graph
from workstation.qemu.blockdev import DiskFile
from workstation.qemu.monitor import Session
from workstation.qemu.workbench import workbench


async def squash(
    machine: Machine, store: Store, facts: HostFacts, layer: Layer, progress: Progress
) -> History:
    """Merge the layer into everything of this machine that stands on it; its names go.

    Returns the machine's new history, written already. Raises NotAllowedError where the layer is
    what a frozen machine goes on from.
    """
    history = heads.read_history(machine.paths)
    if history.head.layer == layer.id and history.head.resume == "layer":
        raise NotAllowedError(
            f"“{machine.name}” is to go on from the memory of that layer",
            hint="start it first, or revert to another snapshot",
        )
    check_room(store.directory(layer.id), _needed(machine, store, layer), IN_THE_LIBRARY)
    async with moving(machine, store, Pending()):
        with store.adding():
            if history.head.layer == layer.id:
                await _into_head(machine, store, facts, layer, progress)
            renamed = await _above_anew(machine, store, facts, layer, progress)
            history = _without(history, layer, renamed)
            heads.write_history(machine.paths, history)
    for made in renamed.values():
        store.protect(made)
    return history


def _needed(machine: Machine, store: Store, layer: Layer) -> int:
    """Bytes: the layer's disks for each that stands right on it, and those made anew besides."""
    history = heads.read_history(machine.paths)
    above = [one for one in _mine(store, history) if one.parent == layer.id]
    copies = len(above) + (history.head.layer == layer.id)
    return copies * _disks(store, layer) + sum(_disks(store, one) for one in above)


def _disks(store: Store, layer: Layer) -> int:
    return sum(store.disk_file(layer, drive).taken() for drive in layer.drives)


def _mine(store: Store, history: History) -> list[Layer]:
    return [store.read(one) for one in store.reachable(heads.roots(history))]


def _without(history: History, layer: Layer, renamed: dict[str, str]) -> History:
    """The history with the layer gone, and the layers above it under their new ids."""
    snapshots = {
        tag: renamed.get(one, one) for tag, one in history.snapshots.items() if one != layer.id
    }
    stands_on = history.head.layer
    on = layer.parent if stands_on == layer.id else renamed.get(stands_on or "", stands_on)
    head: Head = history.head.model_copy(update={"layer": on})
    golden = history.golden if history.golden in snapshots else ""
    return history.model_copy(update={"head": head, "snapshots": snapshots, "golden": golden})


# -- into the head --------------------------------------------------------------


async def _into_head(
    machine: Machine, store: Store, facts: HostFacts, layer: Layer, progress: Progress
) -> None:
    if machine.pair():
        if machine.monitor is None:
            raise NotAllowedError(f"“{machine.name}” cannot be asked: {machine.view.reason}")
        await _into_running(machine.monitor, store, layer, progress)
    else:
        head = heads.read_history(machine.paths).head
        async with workbench(facts) as session:
            for drive in layer.drives:
                files = heads.chain_of(machine.paths, store, head, drive)
                await merge_top(session, files, progress)
        await asyncio.to_thread(heads.sync, machine.paths.head(head.id))


async def _into_running(session: Session, store: Store, layer: Layer, progress: Progress) -> None:
    tops = await graph.heads(session)
    for drive in layer.drives:
        below = store.disk_files(layer.parent, drive)
        base = await graph.same_file(session, below[0]) if below else ""
        await graph.stream(session, tops[drive], base, progress)


async def merge_top(session: Session, files: tuple[DiskFile, ...], progress: Progress) -> None:
    """Copy the second file of a chain into the first, in a QEMU without a machine."""
    name = "merged"
    await graph.open_chain(session, name, files)
    base = f"{name}-2" if len(files) > 2 else ""
    await graph.stream(session, name, base, progress)
    await graph.close_chain(session, name, len(files))


# -- frozen layers above --------------------------------------------------------


async def _above_anew(
    machine: Machine, store: Store, facts: HostFacts, layer: Layer, progress: Progress
) -> dict[str, str]:
    """Make anew what stands on the layer: old id to new id."""
    mine = _mine(store, heads.read_history(machine.paths))
    renamed: dict[str, str] = {}
    waiting = [(child, layer.parent) for child in mine if child.parent == layer.id]
    while waiting:
        child, parent = waiting.pop()
        merge = layer if child.parent == layer.id else None
        made = await _made_anew(store, facts, child, parent, merge, progress)
        renamed[child.id] = made.id
        waiting += [(next_, made.id) for next_ in mine if next_.parent == child.id]
    return renamed


async def _made_anew(
    store: Store, facts: HostFacts, old: Layer, parent: str | None, merge: Layer | None,
    progress: Progress,
) -> Layer:  # fmt: skip
    """The layer again, on another parent; with what is to be merged copied into it."""
    with store.making() as directory:
        store.carry_origin(old.id, directory)
        for name, source in store.sources(old.id).items():
            writable = merge is not None and name.endswith(".qcow2")
            await asyncio.to_thread(_second, source, directory / name, writable)
        drives = dict(old.drives)
        if merge:
            async with workbench(facts) as session:
                for drive, below in merge.drives.items():
                    if drive in old.drives:
                        chain = store.disk_files(old.id, drive)[1:]
                        top = DiskFile(directory / old.drives[drive].name)
                        await merge_top(session, (top, *chain), progress)
                    else:
                        source = store.source(merge.id, below.name)
                        await asyncio.to_thread(source.put, directory / below.name)
                        drives[drive] = below
        made = old.model_copy(update={"id": directory.name, "parent": parent, "drives": drives})
        store.describe(made, directory)
        await asyncio.to_thread(store.publish, made, directory)
    return made


def _second(source: Source, target: Path, writable: bool) -> None:
    """Another name for what stays as it is, a copy of an overlay that is to be written."""
    target.parent.mkdir(mode=0o700, exist_ok=True)
    if writable:
        source.copy(target)
    else:
        source.put(target)

"""Freezing a head into a layer: of a machine that is off, and of one that runs on meanwhile.

What is under way on a running machine stands in `pending.json` before anything is changed. Until
the drives are switched the old state is whole; from then on QEMU writes to the new head, so the
move is carried to its end: by the front-end that began it, or by the next one (`mend`). Whether
QEMU had switched is asked of QEMU, or, where that is gone too, seen by whether the new head was
ever written: one that was not changes nothing.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from workstation.core import atomic, heads, run
from workstation.core.machine import Machine
from workstation.core.store import Store
from workstation.errors import HostError, MonitorError, NotAllowedError, WorkstationError
from workstation.model.layer import Head, History, Layer, LayerFile, Memory
from workstation.model.units import format_size
from workstation.paths import MachinePaths
from workstation.qemu import graph
from workstation.qemu.memory import save_memory
from workstation.qemu.monitor import Monitor

PICTURE = "screen.ppm"

SPARE = 64 * 2**20
"""Bytes of the host's disk that a move leaves free."""

Result = TypeVar("Result")
Progress = Callable[[float, float], None]


class Meeting:
    """Where several machines wait for each other, each ready to be frozen at once."""

    def __init__(self, members: int) -> None:
        self._barrier = asyncio.Barrier(members)
        self._moments: list[float] = []

    async def stand_still(self, monitor: Monitor | None) -> None:
        """Wait for the others, then stop the guest; without a guest only wait."""
        await self._barrier.wait()
        if monitor:
            await monitor.execute("stop")
            self._moments.append(asyncio.get_running_loop().time())

    def apart(self) -> float:
        """Seconds from the first guest that stood still to the last one."""
        return max(self._moments) - min(self._moments) if self._moments else 0.0


class Wish(NamedTuple):
    """What a snapshot is to be."""

    tag: str = ""
    note: str = ""
    memory: bool = True
    meeting: Meeting | None = None
    """Freeze at the same moment as others; the guest then stands still while it is saved."""


def check_room(directory: Path, needed: int) -> None:
    """Raise HostError, with the numbers, where the disk has less than that free."""
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    if free < needed + SPARE:
        raise HostError(
            f"this needs {format_size(needed)} on the disk of {directory}, and {format_size(free)}"
            " is free",
            hint="make room: delete snapshots or machines, or choose --disks-only",
        )


async def carried_out(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end what must not stop half-way; a cancellation is obeyed after it."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        with suppress(Exception):
            task.result()
        raise asyncio.CancelledError
    return task.result()


# -- the layer's content ----------------------------------------------------------


def _link_head(machine: MachinePaths, head: str, directory: Path) -> dict[str, LayerFile]:
    """Second names for the head's overlays: the head stays whole whatever comes."""
    files = {}
    for overlay in sorted(machine.head(head).glob("*.qcow2")):
        (directory / overlay.name).hardlink_to(overlay)
        files[overlay.stem] = LayerFile(name=overlay.name)
    for source, name in ((machine.kernel, "vmlinuz"), (machine.initrd, "initrd")):
        if source.exists():
            (directory / name).hardlink_to(source)
    if machine.tpm_state.is_dir():
        shutil.copytree(machine.tpm_state, directory / heads.TPM)
    return files


def _layer(
    machine: Machine, directory: Path, files: dict[str, LayerFile], head: Head, wish: Wish,
    memory: Memory | None,
) -> Layer:  # fmt: skip
    if not machine.definition:
        raise NotAllowedError(f"the file of “{machine.name}” has problems", hint="edit it first")
    return Layer(
        id=directory.name,
        parent=head.layer,
        created=datetime.now(UTC).replace(microsecond=0),
        note=wish.note,
        machine=machine.name,
        profile=machine.definition.profile,
        drives=files,
        memory=memory,
        picture=PICTURE if (directory / PICTURE).exists() else None,
        tpm=(directory / heads.TPM).is_dir(),
    )


def _named(history: History, head: Head, layer: str, tag: str) -> History:
    snapshots = {**history.snapshots, tag: layer} if tag else history.snapshots
    return history.model_copy(update={"head": head, "snapshots": snapshots})


def provenance(machine: Machine) -> Memory:
    """What a QEMU must be to take the memory of the one that runs."""
    record = run.read(machine.paths)
    if not record or not machine.definition:
        raise NotAllowedError(f"“{machine.name}” does not run")
    profile = machine.definition.profile
    version = tuple(int(part) for part in record.qemu_version.split("."))
    return Memory(
        name=heads.MEMORY,
        machine_type=profile.machine.type,
        cpu_model=profile.cpu.model,
        accelerator="kvm" if record.accelerator == "kvm" else "tcg",
        qemu_version=(version[0], version[1], version[2]),
    )


# -- a machine that is off ----------------------------------------------------------


async def freeze_at_rest(machine: Machine, store: Store, qemu_img: str, wish: Wish) -> Layer:
    """The head of a machine without QEMU becomes a layer; a blank head takes its place."""
    paths = machine.paths
    history = heads.read_history(paths)
    old = history.head
    if wish.meeting:
        await wish.meeting.stand_still(None)
    with store.adding(), store.making() as directory:
        new = await heads.make_head(qemu_img, paths, heads.sizes_of(paths, old.id))
        files = _link_head(paths, old.id, directory)
        memory, resume = _memory_at_rest(store, paths, old, directory)
        layer = _layer(machine, directory, files, old, wish, memory)
        await asyncio.to_thread(store.publish, layer, directory)
        head = Head(id=new, layer=layer.id, resume=resume, network_off=old.network_off)
        heads.write_history(paths, _named(history, head, layer.id, wish.tag))
    store.protect(layer.id)
    heads.drop_other_heads(paths, new)
    return layer


def _memory_at_rest(
    store: Store, paths: MachinePaths, head: Head, directory: Path
) -> tuple[Memory | None, str]:
    """A frozen machine's memory becomes the new layer's."""
    if not head.resume:
        return None, ""
    source, memory = memory_of(store, paths, head)
    (directory / heads.MEMORY).hardlink_to(source)
    return memory, "layer"


def memory_of(store: Store, paths: MachinePaths, head: Head) -> tuple[Path, Memory]:
    """The file of the memory that a start goes on from, and what it needs."""
    if head.resume == "head" and head.memory:
        return paths.head(head.id) / head.memory.name, head.memory
    layer = store.read(head.layer or "")
    if not layer.memory:
        raise NotAllowedError(f"the layer {layer.id} has no memory")
    return store.directory(layer.id) / layer.memory.name, layer.memory


# -- a machine that runs ------------------------------------------------------------


async def freeze_live(
    machine: Machine, store: Store, qemu_img: str, wish: Wish, progress: Progress
) -> Layer:
    """The same while the guest runs; it stands still for the switch of its drives only."""
    monitor, paths = _monitor(machine), machine.paths
    history = heads.read_history(paths)
    old = history.head
    profile = machine.definition.profile if machine.definition else None
    check_room(paths.data, profile.memory if wish.memory and profile else 0)
    was_running = await is_running(monitor)
    with store.adding(), store.making() as directory:
        new = await heads.make_head(qemu_img, paths, heads.sizes_of(paths, old.id))
        atomic.write(paths.pending, json.dumps({"head": new}))
        try:
            await take_picture(monitor, directory / PICTURE)
            if wish.meeting:
                await wish.meeting.stand_still(monitor)
            memory = await _stand_still(machine, monitor, directory, wish, progress)
        except BaseException:
            await asyncio.shield(let_go_on(monitor, was_running))
            paths.pending.unlink(missing_ok=True)
            heads.drop_other_heads(paths, old.id)
            raise

        async def switch() -> Layer:
            await _switch(machine, monitor, new, go_on=was_running)
            files = _link_head(paths, old.id, directory)
            layer = _layer(machine, directory, files, old, wish, memory)
            await asyncio.to_thread(store.publish, layer, directory)
            head = Head(id=new, layer=layer.id)
            heads.write_history(paths, _named(history, head, layer.id, wish.tag))
            return layer

        layer = await carried_out(switch())
    paths.pending.unlink(missing_ok=True)
    # The old head's directory stays until QEMU has ended: QEMU may open its files by name again.
    store.protect(layer.id)
    return layer


def _monitor(machine: Machine) -> Monitor:
    if machine.monitor is None:
        raise MonitorError(f"“{machine.name}” cannot be asked: {machine.view.reason}")
    return machine.monitor


async def _stand_still(
    machine: Machine, monitor: Monitor, directory: Path, wish: Wish, progress: Progress
) -> Memory | None:
    if not wish.memory:
        await monitor.execute("stop")
        return None
    memory = provenance(machine)
    await write_memory(monitor, directory / memory.name, progress)
    return memory


async def write_memory(monitor: Monitor, file: Path, progress: Progress) -> None:
    """The guest's memory in a new file; the guest stands still at the return."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        await save_memory(monitor, descriptor, progress)
    finally:
        os.close(descriptor)


async def let_go_on(monitor: Monitor, was_running: bool) -> None:
    """After a move that came to nothing: the guest runs if it ran before."""
    if was_running:
        with suppress(MonitorError):
            await monitor.execute("cont")


async def is_running(monitor: Monitor) -> bool:
    status = await monitor.execute("query-status")
    return bool(status["status"] == "running")


async def _switch(machine: Machine, monitor: Monitor, head: str, *, go_on: bool) -> None:
    overlays = {file.stem: file for file in sorted(machine.paths.head(head).glob("*.qcow2"))}
    profile = machine.definition.profile if machine.definition else None
    drives = profile.drives if profile else ()
    caches = {f"drive{number}": drive.cache for number, drive in enumerate(drives)}
    try:
        await graph.put_on(monitor, overlays, head, caches)
    finally:
        if go_on:
            await monitor.execute("cont")


async def take_picture(monitor: Monitor, file: Path) -> None:
    """A picture of the screen, where the machine has one."""
    with suppress(MonitorError):
        await monitor.execute("screendump", filename=str(file))


# -- what was cut off -----------------------------------------------------------------


async def mend(machine: Machine, store: Store) -> None:
    """Complete or undo a move that was cut off; needs the machine's lock."""
    paths = machine.paths
    live = machine.pair() is not None
    try:
        new = str(json.loads(paths.pending.read_text())["head"])
    except FileNotFoundError:
        if not live:
            heads.drop_other_heads(paths, heads.read_history(paths).head.id)
        return
    except (ValueError, KeyError, OSError) as error:
        raise WorkstationError(f"{paths.pending} cannot be read: {error}") from error
    history = heads.read_history(paths)
    if new != history.head.id:
        if await _switched(machine, new):
            await _complete(machine, store, history, new)
        elif live:
            await _unfreeze(_monitor(machine))
    paths.pending.unlink(missing_ok=True)
    if not live:
        heads.drop_other_heads(paths, heads.read_history(paths).head.id)


async def _switched(machine: Machine, new: str) -> bool:
    if not machine.pair():
        return machine.paths.head(new).is_dir() and not heads.is_blank(machine.paths, new)
    files = (file for _, file in (await graph.heads(_monitor(machine))).values())
    return any(file.is_relative_to(machine.paths.head(new)) for file in files)


async def _complete(machine: Machine, store: Store, history: History, new: str) -> None:
    wish = Wish(note="a snapshot that was cut off")
    with store.adding(), store.making() as directory:
        files = _link_head(machine.paths, history.head.id, directory)
        layer = _layer(machine, directory, files, history.head, wish, None)
        await asyncio.to_thread(store.publish, layer, directory)
        head = Head(id=new, layer=layer.id)
        heads.write_history(machine.paths, _named(history, head, layer.id, ""))
    store.protect(layer.id)
    if machine.pair():
        await _unfreeze(_monitor(machine))


async def _unfreeze(monitor: Monitor) -> None:
    """Let a guest go on that stands still only because its memory was being saved."""
    state = (await monitor.execute("query-migrate")).get("status", "")
    if state in ("active", "setup"):
        await monitor.execute("migrate_cancel")
    if (await monitor.execute("query-status"))["status"] in ("postmigrate", "finish-migrate"):
        await monitor.execute("cont")

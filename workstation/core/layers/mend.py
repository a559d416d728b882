"""Moves of layers that can be cut off anywhere: what is under way, and how it is mended.

What is under way stands in `pending.json` before anything is changed. One write of `history.json`
makes the move: what was cut off before it is undone, what was cut off after it is completed. One
thing cannot be undone: a running QEMU that has switched its drives writes to the new head, so
that move is completed. Whether QEMU had switched is asked of QEMU, or, where that is gone too,
seen by whether the new head was ever written: one that was not changes nothing.

The front-end whose move fails mends at once. After one that was killed the next verb does, or a
front-end that stays (workstation.py), so that no guest stands still for longer than that.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from workstation.core import atomic
from workstation.core.guest.still import let_go
from workstation.core.layers import heads
from workstation.core.layers.collect import collect_quietly
from workstation.core.layers.resume import finish_resume
from workstation.core.layers.store import Store
from workstation.core.machine import run
from workstation.core.machine.in_force import in_force
from workstation.core.machine.machine import Machine
from workstation.errors import MonitorError, WorkstationError
from workstation.model.layer import Head, History, Layer, LayerFile
from workstation.paths import MachinePaths
from workstation.profile.dump import dump_definition
from workstation.qemu import graph
from workstation.qemu.memory import give_up
from workstation.qemu.monitor import Monitor
from workstation.qemu.process import pair_ended

Result = TypeVar("Result")


class Pending(NamedTuple):
    """A move that is under way."""

    head: str = ""
    """The head that is to take the place of the history's."""
    layer: str = ""
    """The layer that is being made."""
    tag: str = ""
    """The name that it is to have."""
    running: bool = False
    """The guest is to run afterwards, whatever it does meanwhile."""
    restore: bool = False
    """The profile and the TPM's state become those of the layer below the new head."""
    still: bool = False
    """The guest may hold its file systems still."""


def _read(paths: MachinePaths) -> Pending | None:
    try:
        return Pending(**json.loads(paths.pending.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, OSError) as error:
        raise WorkstationError(f"{paths.pending} cannot be read: {error}") from error


@asynccontextmanager
async def moving(machine: Machine, store: Store, pending: Pending) -> AsyncIterator[None]:
    """A block that moves layers, under the machine's lock; it is mended where it fails."""
    file = machine.paths.pending
    atomic.write(file, json.dumps(pending._asdict()), lasting=bool(pending.head))
    try:
        yield
    except BaseException:
        with suppress(WorkstationError, OSError):
            await carried_out(mend(machine, store))
        raise
    file.unlink(missing_ok=True)


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


async def mend(machine: Machine, store: Store) -> None:
    """Complete or undo a move that was cut off; needs the machine's lock."""
    paths, pending = machine.paths, _read(machine.paths)
    if pending:
        await machine.settled()
        if machine.pair():
            await _mend_live(machine, store, pending)
        else:
            await _mend_at_rest(machine, store, pending)
        paths.pending.unlink(missing_ok=True)
        await asyncio.to_thread(collect_quietly, store.paths, store)
    if not machine.pair():
        _tidy(machine, store)


def _tidy(machine: Machine, store: Store) -> None:
    """Take away what no history names; the machine has no QEMU."""
    head = heads.read_history(machine.paths).head
    heads.drop_other_heads(machine.paths, head.id)
    heads.drop_memory(machine.paths, head)
    atomic.clear(machine.paths.data)
    if head.layer:
        with suppress(OSError):
            store.protect(head.layer)


# -- without QEMU -------------------------------------------------------------------


async def _mend_at_rest(machine: Machine, store: Store, pending: Pending) -> None:
    history = heads.read_history(machine.paths)
    if history.head.id == pending.head:
        if pending.restore:
            restore(machine, store)
    elif pending.head and heads.is_written(machine.paths, pending.head):
        await _complete(machine, store, history, pending)


def restore(machine: Machine, store: Store) -> None:
    """The machine gets the profile and the TPM's state of the layer that its head stands on."""
    layer = store.read(heads.read_history(machine.paths).head.layer or "")
    heads.restore_tpm(store.directory(layer.id), machine.paths)
    if machine.definition and machine.definition.profile != layer.profile:
        restored = machine.definition.model_copy(update={"profile": layer.profile})
        atomic.write(machine.paths.file, dump_definition(restored, machine.name))


# -- with QEMU ----------------------------------------------------------------------


async def _mend_live(machine: Machine, store: Store, pending: Pending) -> None:
    monitor = machine.monitor
    if monitor is None:
        raise MonitorError(f"“{machine.name}” cannot be asked: {machine.view.reason}")
    await graph.cancel_jobs(monitor)
    await give_up(monitor)
    history = heads.read_history(machine.paths)
    if pending.head not in ("", history.head.id):
        if pending.head in await graph.heads_in_use(monitor):
            await _complete(machine, store, history, pending)
        else:
            await graph.take_away(monitor, pending.head)
            heads.drop_head(machine.paths, pending.head)
    await _go_on(machine, monitor, running=pending.running)
    if pending.still:
        await let_go(machine)


_STANDING = ("paused", "postmigrate", "finish-migrate")


async def _go_on(machine: Machine, monitor: Monitor, *, running: bool) -> None:
    """A guest that stands still only because of the move goes on, or is frozen by now."""
    status = (await monitor.execute("query-status"))["status"]
    resume = heads.read_history(machine.paths).head.resume
    if status == "postmigrate" and resume == "head":
        await _end(machine, monitor)
    elif running and resume:
        await finish_resume(machine, monitor)
    elif running and status in _STANDING:
        await monitor.execute("cont")


async def _end(machine: Machine, monitor: Monitor) -> None:
    """Of a machine whose memory is saved the process goes."""
    pair, record = machine.pair(), run.read(machine.paths)
    if record:
        run.write(machine.paths, record._replace(ended_by="suspend"))
    with suppress(MonitorError):
        await monitor.execute("quit")
    if pair:
        async with asyncio.timeout(30):
            await pair_ended(pair)


# -- to the end -----------------------------------------------------------------------


async def _complete(machine: Machine, store: Store, history: History, pending: Pending) -> None:
    """The history says what QEMU did: the old head is a layer, and the new one stands on it."""
    with store.adding():
        layer, tag = pending.layer, pending.tag
        if layer not in store.ids():
            tag = heads.fresh_tag("cut-off", history)
            layer = await _without_memory(machine, store, history)
        head = Head(id=pending.head, layer=layer)
        heads.write_history(machine.paths, named(history, head, tag))
    store.protect(layer)


async def _without_memory(machine: Machine, store: Store, history: History) -> str:
    """A layer of the old head's disks; what else the move had gathered is gone."""
    with store.making() as directory:
        profile = in_force(machine)
        if not profile:
            raise WorkstationError(f"{machine.paths.file} has problems", hint="edit it first")
        layer = Layer(
            id=directory.name,
            parent=history.head.layer,
            created=datetime.now(UTC).replace(microsecond=0),
            note="its snapshot was cut off, and has no memory",
            machine=machine.name,
            profile=profile,
            drives=link_head(machine.paths, history.head.id, directory),
        )
        store.describe(layer, directory)
        await asyncio.to_thread(store.publish, layer, directory)
    return layer.id


def link_head(machine: MachinePaths, head: str, directory: Path) -> dict[str, LayerFile]:
    """Second names for the head's overlays: the head stays whole whatever comes."""
    files = {}
    for overlay in sorted(machine.head(head).glob("*.qcow2")):
        (directory / overlay.name).hardlink_to(overlay)
        files[overlay.stem] = LayerFile(name=overlay.name)
    for source, name in ((machine.kernel, "vmlinuz"), (machine.initrd, "initrd")):
        if source.exists():
            (directory / name).hardlink_to(source)
    return files


def named(history: History, head: Head, tag: str) -> History:
    """The history with that head, and with a name for the layer it stands on."""
    new = {tag: head.layer} if tag and head.layer else {}
    return history.model_copy(update={"head": head, "snapshots": {**history.snapshots, **new}})

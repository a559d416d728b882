"""Freezing a head into a layer: of a machine that is off, and of one that runs on meanwhile."""

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from workstation.core.guest.still import hold, let_go
from workstation.core.layers import heads
from workstation.core.layers.blocked import check_memory
from workstation.core.layers.mend import Pending, carried_out, link_head, moving, named
from workstation.core.layers.store import Store
from workstation.core.machine import run
from workstation.core.machine.in_force import in_force
from workstation.core.machine.machine import Machine
from workstation.core.room import IN_THE_LIBRARY, check_room
from workstation.core.serial import log as serial
from workstation.errors import MonitorError, NotAllowedError
from workstation.model.layer import Head, Layer, Memory
from workstation.paths import MachinePaths
from workstation.qemu import graph
from workstation.qemu.kvm import cpu_flags
from workstation.qemu.memory import RUNS_ON_MEANWHILE, save_memory
from workstation.qemu.monitor import Monitor

PICTURE = "screen.ppm"

PRINTED_BYTES = 2**16
"""Of what the guest said on its serial line: its console shows that wherever it goes on."""

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


# -- the layer's content ----------------------------------------------------------


def _gather(
    machine: Machine, store: Store, directory: Path, head: Head, wish: Wish, memory: Memory | None
) -> Layer:
    """Put the layer's files in the directory, all but its memory and the TPM's state."""
    profile = in_force(machine)
    if not profile:
        raise NotAllowedError(f"the file of “{machine.name}” has problems", hint="edit it first")
    layer = Layer(
        id=directory.name,
        parent=head.layer,
        created=datetime.now(UTC).replace(microsecond=0),
        note=wish.note,
        machine=machine.name,
        profile=profile,
        drives=link_head(machine.paths, head.id, directory),
        memory=memory,
        picture=PICTURE if (directory / PICTURE).exists() else None,
        tpm=machine.paths.tpm_state.is_dir(),
    )
    store.describe(layer, directory)
    if memory and (printed := serial.tail(machine.paths.serial_log, PRINTED_BYTES)):
        (directory / heads.PRINTED).write_bytes(printed)
    return layer


def _copy_tpm(machine: MachinePaths, directory: Path) -> None:
    """Its state of now; the guest, where it runs, stands still."""
    if machine.tpm_state.is_dir():
        shutil.copytree(machine.tpm_state, directory / heads.TPM)


def provenance(machine: Machine) -> Memory:
    """What a QEMU must be to take the memory of the one that runs."""
    record = run.read(machine.paths)
    profile = in_force(machine)
    if not record or not profile:
        raise NotAllowedError(f"“{machine.name}” does not run")
    version = tuple(int(part) for part in record.qemu_version.split("."))
    sees_the_cpu = record.accelerator == "kvm" and profile.cpu.model in ("host", "max")
    return Memory(
        name=heads.MEMORY,
        machine_type=profile.machine.type,
        cpu_model=profile.cpu.model,
        accelerator="kvm" if record.accelerator == "kvm" else "tcg",
        qemu_version=(version[0], version[1], version[2]),
        cpu_flags=tuple(sorted(cpu_flags())) if sees_the_cpu else (),
    )


# -- a machine that is off ----------------------------------------------------------


async def freeze_at_rest(machine: Machine, store: Store, wish: Wish) -> Layer:
    """The head of a machine without QEMU becomes a layer; a blank head takes its place."""
    paths = machine.paths
    history = heads.read_history(paths)
    old, new = history.head, heads.new_id()
    if wish.meeting:
        await wish.meeting.stand_still(None)
    check_room(paths.data, 0, IN_THE_LIBRARY)
    async with moving(machine, store, Pending()):
        with store.adding(), store.making() as directory:
            await heads.make_head(paths, heads.sizes_of(paths, old.id), new)
            memory, resume = await _memory_at_rest(store, paths, old, directory)
            layer = _gather(machine, store, directory, old, wish, memory)
            _copy_tpm(paths, directory)
            await asyncio.to_thread(store.publish, layer, directory)
            head = Head(id=new, layer=layer.id, resume=resume, network_off=old.network_off)
            heads.write_history(paths, named(history, head, wish.tag))
    store.protect(layer.id)
    heads.drop_other_heads(paths, new)
    return layer


async def _memory_at_rest(
    store: Store, paths: MachinePaths, head: Head, directory: Path
) -> tuple[Memory | None, Literal["", "layer"]]:
    """A frozen machine's memory becomes the new layer's."""
    if not head.resume:
        return None, ""
    source, memory = heads.memory_of(store, paths, head)
    await asyncio.to_thread(source.put, directory / heads.MEMORY)
    return memory, "layer"


# -- a machine that runs ------------------------------------------------------------


async def freeze_live(machine: Machine, store: Store, wish: Wish, progress: Progress) -> Layer:
    """The same while the guest runs; it stands still for the switch of its drives only.

    All that needs room is written before the switch, which cannot be undone.
    """
    monitor, paths = monitor_of(machine), machine.paths
    history = heads.read_history(paths)
    old, new = history.head, heads.new_id()
    profile = in_force(machine)
    needed = profile.memory if wish.memory and profile else 0
    check_room(paths.data, needed, f"{IN_THE_LIBRARY}, or choose --disks-only")
    if wish.memory:
        only = f"or keep its disks only: workstation snapshot {machine.name} TAG --disks-only"
        await check_memory(machine, monitor, only)
    running = await is_running(monitor)
    layer_id = heads.new_id()
    # Without its memory the guest would find its disks as after a power cut.
    still = running and not wish.memory
    async with moving(machine, store, Pending(new, layer_id, wish.tag, running, still=still)):
        with store.adding(), store.making(layer_id) as directory:
            await heads.make_head(paths, heads.sizes_of(paths, old.id), new)
            await take_picture(monitor, directory / PICTURE)
            memory = provenance(machine) if wish.memory else None
            layer = _gather(machine, store, directory, old, wish, memory)
            after = named(history, Head(id=new, layer=layer.id), wish.tag)
            with heads.prepared_history(paths, after) as write_history:
                held = still and await hold(machine)
                if wish.meeting:
                    await wish.meeting.stand_still(monitor)
                await _stand_still(monitor, directory, memory, progress)
                _copy_tpm(paths, directory)

                async def switch() -> None:
                    await _switch(machine, monitor, new, go_on=running)
                    await asyncio.to_thread(store.publish, layer, directory)
                    write_history()

                await carried_out(switch())
                await machine.asked()
        if held:
            await carried_out(let_go(machine))
    # The old head's directory stays until QEMU has ended: QEMU may open its files by name again.
    store.protect(layer.id)
    return layer


def monitor_of(machine: Machine) -> Monitor:
    if machine.monitor is None:
        raise MonitorError(f"“{machine.name}” cannot be asked: {machine.view.reason}")
    return machine.monitor


async def _stand_still(
    monitor: Monitor, directory: Path, memory: Memory | None, progress: Progress
) -> None:
    if memory:
        live = memory.accelerator in RUNS_ON_MEANWHILE
        await write_memory(monitor, directory / memory.name, progress, live=live)
    else:
        await monitor.execute("stop")


async def write_memory(monitor: Monitor, file: Path, progress: Progress, *, live: bool) -> None:
    """The guest's memory in a new file; the guest stands still at the return.

    With `live` it runs on while most of that is written.
    """
    if not live:
        await monitor.execute("stop")
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        await save_memory(monitor, descriptor, progress)
    finally:
        os.close(descriptor)


async def is_running(monitor: Monitor) -> bool:
    status = await monitor.execute("query-status")
    return bool(status["status"] == "running")


async def _switch(machine: Machine, monitor: Monitor, head: str, *, go_on: bool) -> None:
    overlays = {file.stem: file for file in sorted(machine.paths.head(head).glob("*.qcow2"))}
    profile = in_force(machine)
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

"""Sixty machines at once: all are supervised, all answer, and nothing is left behind."""

import asyncio
import os
import threading
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import psutil
import pytest

from tests.conftest import tiny
from workstation.core.workstation import Workstation
from workstation.model.machine import State
from workstation.paths import Paths
from workstation.qemu import procfs

pytestmark = pytest.mark.qemu

COUNT = 60
NAMES = [f"vm-{number:02}" for number in range(COUNT)]


def descriptors() -> dict[str, str]:
    """What this process has open, by number."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue  # the directory's own
    return found


def held() -> dict[str, object]:
    """All that a front-end must give back; the event loop's thread pool stays for the next."""
    threads = {thread.name for thread in threading.enumerate()}
    return {
        "descriptors": descriptors(),
        "threads": {name for name in threads if not name.startswith("asyncio_")},
        "tasks": asyncio.all_tasks(),
        "children": {child.pid for child in psutil.Process().children()},
    }


async def each(act: Callable[[str], Coroutine[Any, Any, object]], at_once: int = 6) -> None:
    """For every machine, a few at a time."""
    room = asyncio.Semaphore(at_once)

    async def one(name: str) -> None:
        async with room:
            await act(name)

    async with asyncio.TaskGroup() as group:
        for name in NAMES:
            group.create_task(one(name))


async def statuses(station: Workstation) -> set[str]:
    """What all the machines' QEMUs answer, asked at once over the supervision's monitors."""
    monitors = [station.machine(name).monitor for name in NAMES]
    answers = await asyncio.gather(
        *(monitor.execute("query-status") for monitor in monitors if monitor)
    )
    assert len(answers) == COUNT
    return {answer["status"] for answer in answers}


async def all_are(station: Workstation, state: State) -> None:
    await asyncio.gather(
        *(station.machine(name).until(lambda view: view.state is state) for name in NAMES)
    )


def pids(station: Workstation) -> Collection[int]:
    return {view.pid for view in station.machines.values() if view.pid}


async def test_sixty_machines_are_supervised_at_once_and_nothing_leaks(paths: Paths) -> None:
    # What the first use of a thing keeps (thread pool, child watcher) is no leak.
    async with Workstation(paths) as station:
        await station.create("first", tiny())
        await station.start("first")
        await station.kill("first")
        await station.delete("first")
    before = held()

    async with Workstation(paths, front_end="one") as one:
        await each(lambda name: one.create(name, tiny()))
        await each(lambda name: one.start(name, force=True))
        assert {view.state for view in one.machines.values()} == {State.RUNNING}
        assert len(pids(one)) == COUNT
        assert await statuses(one) == {"running"}

        async with Workstation(paths, front_end="two") as two:
            await asyncio.gather(*(two.settled(name) for name in NAMES))
            assert {view.state for view in two.machines.values()} == {State.RUNNING}
            assert pids(two) == pids(one)
            assert await statuses(two) == {"running"}

            await each(two.pause)
            await all_are(one, State.PAUSED)
            assert await statuses(one) == {"paused"}

        running = pids(one)
        await each(one.kill)
        assert {view.state for view in one.machines.values()} == {State.OFF}
    assert not any(psutil.pid_exists(pid) for pid in running)
    assert not procfs_left(paths)
    assert held() == before


def procfs_left(paths: Paths) -> list[str]:
    """Machines whose witness or QEMU still runs."""
    found = {name: procfs.read_pair(paths.machine(name)) for name in NAMES}
    return [name for name, pair in found.items() if pair and any(procfs.alive(one) for one in pair)]

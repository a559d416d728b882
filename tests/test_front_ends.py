"""Several front-ends at once: they see the same truth, and none harms another."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.bench.home import PROGRAM
from tests.bench.terminal import Terminal
from tests.bench.watcher import Watcher
from tests.conftest import eventually, tiny
from workstation.core.workstation import Workstation
from workstation.errors import BusyError, MonitorError, NotAllowedError
from workstation.model.machine import MachineView, State
from workstation.paths import MONITORS, MachinePaths, Paths

pytestmark = pytest.mark.qemu

PROFILE = "name: tiny\nmemory: 32 MiB\nnetworks: []\n"


async def cli(environ: dict[str, str], *words: str) -> str:
    """Run a command to its end; what it has printed."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    printed, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return printed.decode()


async def reached(station: Workstation, state: State) -> MachineView:
    async with asyncio.timeout(30):
        return await station.machine("one").until(lambda view: view.state is state)


@pytest.fixture
def impatient(paths: Paths) -> None:
    """A firmware-only guest never notices the power button: do not wait for it."""
    paths.settings.write_text("timeouts:\n  power_button: 0\n")


# -- the same truth -----------------------------------------------------------

LIFE = (
    (("start", "one"), "running"),
    (("pause", "one"), "paused"),
    (("resume", "one"), "running"),
    (("reset", "one"), "running"),
    (("stop", "one"), "off"),
    (("start", "one"), "running"),
    (("stop", "--force", "one"), "off"),
)


@pytest.mark.usefixtures("impatient")
async def test_two_front_ends_and_a_command_line_agree_all_along(
    paths: Paths, environ: dict[str, str]
) -> None:
    profile = paths.config / "tiny.yaml"
    profile.write_text(PROFILE)
    async with Watcher.running(environ) as first, Watcher.running(environ) as second:
        await cli(environ, "create", "one", "--profile", str(profile))
        for watcher in (first, second):
            await watcher.sees("created", name="one")
        for words, state in LIFE:
            await cli(environ, *words)
            for watcher in (first, second):
                if watcher.newest.get("one") != state:
                    await watcher.sees(state, name="one")
            (row,) = json.loads(await cli(environ, "list", "--json"))
            assert row["state"] == state
            assert first.newest == second.newest == {"one": state}
        await cli(environ, "delete", "--yes", "one")
        for watcher in (first, second):
            await watcher.sees("", name="one")
        assert json.loads(await cli(environ, "list", "--json")) == []


@asynccontextmanager
async def two_screens(environ: dict[str, str]) -> AsyncIterator[tuple[Terminal, Terminal]]:
    shown = environ | {"TERM": "xterm-256color"}
    async with (
        Terminal.running(PROGRAM, shown) as first,
        Terminal.running(PROGRAM, shown) as second,
    ):
        yield first, second


async def row_shows(screen: Terminal, state: str) -> None:
    """The machine's row in the list says so."""
    await screen.until(lambda it: re.search(rf"one\s+{state}", it.text))


@pytest.mark.usefixtures("impatient")
async def test_two_screens_show_what_a_command_line_does(
    station: Workstation, environ: dict[str, str]
) -> None:
    await station.create("one", tiny())
    async with two_screens(environ) as screens:
        for screen in screens:
            await row_shows(screen, "created")
        for words, state in LIFE:
            if words[0] == "reset":
                continue  # nothing new to show
            for screen in screens:
                screen.forget()
            await cli(environ, *words)
            for screen in screens:
                await row_shows(screen, state)
        for screen in screens:
            screen.forget()
        await cli(environ, "delete", "--yes", "one")
        for screen in screens:
            await screen.shows("demo")  # what an empty library offers


# -- locks --------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from workstation.core.machine.lock import MachineLock
from workstation.paths import MachinePaths
with MachineLock(MachinePaths(Path(sys.argv[1]), Path(sys.argv[2])), "backup", "another program"):
    print("held", flush=True)
    sys.stdin.read()
"""


@asynccontextmanager
async def held(paths: MachinePaths) -> AsyncIterator[asyncio.subprocess.Process]:
    """The machine's lock, in another process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(paths.data), str(paths.runtime),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert await process.stdout.readline() == b"held\n"
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


SLOW_START = """
import asyncio, sys
from workstation.core.workstation import Workstation
from workstation.paths import Paths
from workstation.qemu import process

async def main():
    begun, go = sys.argv[1:]
    wait = f"echo >{begun}; until [ -e {go} ]; do sleep 0.01; done; printf"
    process._WITNESS = process._WITNESS.replace("printf", wait, 1)
    async with Workstation(Paths.from_environment()) as station:
        await station.start("one")
asyncio.run(main())
"""
"""The witness tells by one file that it has begun QEMU, and writes down who that is only when the
other is there."""


async def test_a_start_whose_front_end_was_killed_is_not_begun_once_more(
    paths: Paths, environ: dict[str, str], tmp_path: Path
) -> None:
    async with Workstation(paths, watch=False) as station:
        await station.create("one", tiny())
    begun, go = tmp_path / "begun", tmp_path / "go"
    argv = [sys.executable, "-c", SLOW_START, str(begun), str(go)]
    starter = subprocess.Popen(argv, env=environ)
    try:
        await eventually(begun.exists)
    finally:
        starter.kill()
        await asyncio.to_thread(starter.wait)
    async with Workstation(paths, watch=False) as station:
        once_more = asyncio.create_task(station.start("one"))
        await asyncio.sleep(0.2)
        assert not once_more.done()
        go.touch()
        with pytest.raises(NotAllowedError, match="running"):
            await once_more
        await station.settled("one")
        assert station.view("one").state is State.RUNNING


async def test_a_killed_holder_keeps_neither_the_lock_nor_its_name(station: Workstation) -> None:
    await station.create("one", tiny())
    machine = station.machine("one")
    async with asyncio.timeout(30), held(station.paths.machine("one")) as holder:
        view = await machine.until(lambda view: view.holder is not None)
        assert view.holder
        assert (view.holder.pid, view.holder.verb) == (holder.pid, "backup")
        with pytest.raises(BusyError, match=f"pid {holder.pid}.*backup"):
            await station.start("one")
        holder.kill()
        await holder.wait()
        # Nobody does anything with the machine, and still the name goes from the screen.
        await machine.until(lambda view: view.holder is None)
    await station.start("one")
    assert station.view("one").state is State.RUNNING


# -- more front-ends than monitors --------------------------------------------


@asynccontextmanager
async def crowd(paths: Paths) -> AsyncIterator[tuple[AsyncExitStack, Workstation]]:
    """A running machine whose monitors are all taken, and one front-end more."""
    async with AsyncExitStack() as others, AsyncExitStack() as first:
        one = await first.enter_async_context(Workstation(paths))
        await one.create("one", tiny())
        await one.start("one")
        for _ in range(MONITORS - 1):
            other = await others.enter_async_context(Workstation(paths))
            await other.settled("one")
            assert not other.view("one").reason
        async with Workstation(paths, front_end="late") as late, asyncio.timeout(60):
            await late.settled("one")
            yield first, late


async def test_a_front_end_too_many_says_so_and_still_sees_the_machine(paths: Paths) -> None:
    async with crowd(paths) as (_, late):
        view = late.view("one")
        assert view.state is State.RUNNING
        assert f"all {MONITORS} monitors" in view.reason
        with pytest.raises(MonitorError, match=f"all {MONITORS} monitors"):
            await late.pause("one")
        os.kill(view.pid or 0, signal.SIGKILL)
        view = await reached(late, State.CRASHED)
        assert "SIGKILL" in view.reason


async def test_a_front_end_too_many_gets_the_monitor_that_another_leaves(paths: Paths) -> None:
    async with crowd(paths) as (first, late):
        await first.aclose()
        await late.machine("one").until(lambda view: not view.reason)
        await late.pause("one")
        assert late.view("one").state is State.PAUSED


async def test_a_front_end_too_many_can_still_end_the_machine(paths: Paths) -> None:
    async with crowd(paths) as (_, late):
        await late.kill("one")
        await reached(late, State.OFF)
        await eventually(lambda: late.view("one").pid is None)

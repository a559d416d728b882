"""A real Linux guest: what a person does with it, and what happens around it."""

import asyncio
import atexit
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conftest import Shell, eventually, tiny
from workstation.core.serial import log as serial
from workstation.core.workstation import Workstation
from workstation.errors import NotAllowedError
from workstation.model.machine import State
from workstation.model.profile import Profile
from workstation.paths import Paths

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("with_appliance")]


def small(**changes: object) -> Profile:
    """The appliance without what a test of something else does not need."""
    basis: dict[str, object] = {
        "name": "small",
        "memory": "128 MiB",
        "networks": [],
        "display": {"adapter": "none"},
        "devices": {"usb_tablet": False},
        "boot": {
            "kernel": "appliance/vmlinuz",
            "initrd": "appliance/initrd",
            "command_line": "console=ttyS0 quiet nokaslr mitigations=off cryptomgr.notests"
            " no_timer_check",
        },
        "ready": "appliance ready",
    }
    return Profile.model_validate(basis | changes)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def fetch(port: int) -> str:
    """The page behind a forwarded port, as soon as the guest serves it."""

    def get() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            body: bytes = answer.read()
        return body.decode()

    async with asyncio.timeout(60):
        while True:
            try:
                return await asyncio.to_thread(get)
            except OSError:
                await asyncio.sleep(0.2)


async def boot(station: Workstation, name: str, profile: Profile) -> None:
    await station.create(name, profile)
    await station.start(name)
    await station.wait_ready(name)


_TEMPLATES: dict[str, Path] = {}


async def awake(station: Workstation, name: str, profile: Profile) -> None:
    """A running guest of that profile, at its shell: booted once, then taken from its sleep."""
    key = profile.model_dump_json()
    if key not in _TEMPLATES:
        _TEMPLATES[key] = await _asleep(station, profile)
    made = station.paths.making / name
    shutil.copytree(_TEMPLATES[key], made)
    file = made / "machine.yaml"
    file.write_text(re.sub(r"(?m)^uuid: .*$", f"uuid: {uuid4()}", file.read_text()))
    made.rename(station.paths.machine(name).data)
    await station.start(name)


async def _asleep(station: Workstation, profile: Profile) -> Path:
    await boot(station, "template", profile)
    await station.layers.suspend("template")
    kept = Path(tempfile.mkdtemp(prefix="ws-template-")) / "machine"
    atexit.register(shutil.rmtree, kept.parent, ignore_errors=True)
    shutil.copytree(station.paths.machine("template").data, kept)
    await station.delete("template")
    return kept


async def test_the_demo_answers_at_its_shell_and_keeps_its_disk(station: Workstation) -> None:
    name = await station.demo()
    assert station.view(name).state is State.RUNNING
    async with Shell.on(station, name) as shell:
        assert await shell.run("echo $((6 * 7))") == "42"
        await shell.run("echo kept >/data/mine && sync")
    await station.stop(name)
    assert station.view(name).state is State.OFF
    assert await station.demo() == name
    async with Shell.on(station, name) as shell:
        assert await shell.run("cat /data/mine") == "kept"
    page = await fetch(station.view(name).forwards[0].host)
    assert "<html" in page
    await station.kill(name)


async def test_the_power_button_shuts_the_guest_down(station: Workstation) -> None:
    await boot(station, "one", small())
    await station.stop("one")
    view = station.view("one")
    assert (view.state, view.reason) == (State.OFF, "")
    assert not any("did not shut down" in line.text for line in station.log)


async def test_a_guest_that_powers_off_by_itself_is_off(station: Workstation) -> None:
    await boot(station, "one", small())
    async with Shell.on(station, "one") as shell:
        shell.type("poweroff")
        await eventually(lambda: station.view("one").state is State.OFF)
    assert station.view("one").reason == ""


async def test_a_guest_that_ignores_the_button_is_ended_by_the_ladder(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.settings.write_text("timeouts:\n  power_button: 0.2\n")
    async with Workstation(paths) as station:
        await station.create("one", tiny())
        await station.start("one")
        await station.stop("one")
        assert station.view("one").state is State.OFF
        assert any("did not shut down" in line.text for line in station.log)


async def test_a_paused_guest_stands_still_and_goes_on(station: Workstation) -> None:
    await boot(station, "one", small())
    log = station.paths.machine("one").serial_log
    async with Shell.on(station, "one") as shell:
        await shell.run("(while sleep 0.1; do echo tick; done) & true")
        await eventually(lambda: b"tick" in serial.tail(log, 100))
        await station.pause("one")
        size = serial.size(log)
        other = await asyncio.create_subprocess_exec("sleep", "0.5")
        await other.wait()
        assert serial.size(log) == size
        await station.resume("one")
        await eventually(lambda: serial.size(log) > size)


async def test_a_kernel_panic_shows_as_what_it_is_and_reset_brings_it_back(
    station: Workstation,
) -> None:
    await boot(station, "one", small())
    async with Shell.on(station, "one") as shell:
        shell.type("panic")
        await eventually(lambda: station.view("one").panicked)
    view = station.view("one")
    assert view.state is State.PAUSED
    assert "panic" in view.reason
    printed = serial.size(station.paths.machine("one").serial_log)
    await station.reset("one")
    await station.wait_ready("one", since=printed)
    assert station.view("one").state is State.RUNNING
    assert not station.view("one").panicked


async def test_two_guests_answer_on_their_ports_and_cannot_reach_each_other(
    station: Workstation,
) -> None:
    first, second = free_port(), free_port()
    for name, port in (("one", first), ("two", second)):
        await station.create(name, small(networks=[{"forwards": [f"{port}:80"]}]))
    await asyncio.gather(station.start("one"), station.start("two"))
    for name, port in (("one", first), ("two", second)):
        await station.wait_ready(name)
        assert "<html" in await fetch(port)
    async with Shell.on(station, "one") as shell:
        own = await shell.run("ip -4 -o addr show eth0")
        assert "10.0.2.15" in own
        # Both have the same address: each is alone on a network of its own. The host is the
        # gateway's name on it, and its loopback must not show the other's neighbours.
        neighbours = await shell.run("for i in 16 17 20; do ping -c1 -W1 10.0.2.$i; done")
        assert "bytes from" not in neighbours


async def test_a_restricted_guest_reaches_nothing_and_still_answers(station: Workstation) -> None:
    port, listener = free_port(), socket.create_server(("127.0.0.1", 0))
    network = {"restrict": True, "forwards": [f"{port}:80"]}
    with listener:
        outside = listener.getsockname()[1]
        await boot(station, "one", small(networks=[network]))
        assert "<html" in await fetch(port)
        async with Shell.on(station, "one") as shell:
            answer = await shell.run(f"nc -w 2 10.0.2.2 {outside} </dev/null; echo code $?")
            assert "code 1" in answer


FRONT_END = """
import asyncio, sys
from workstation.core.workstation import Workstation
from workstation.paths import Paths

async def main():
    async with Workstation(Paths.from_environment()) as station:
        print("entered", flush=True)
        if station.view("one").allows("start"):
            await station.start("one")
        while True:
            await station.pause("one")
            await station.resume("one")
asyncio.run(main())
"""


async def test_the_guest_outlives_twenty_front_ends_killed_at_random(
    paths: Paths, environ: dict[str, str]
) -> None:
    chance = random.Random(7)
    async with Workstation(paths) as station:
        await station.create("one", small())
    pids = set()
    for _ in range(20):
        front_end = subprocess.Popen(
            [sys.executable, "-c", FRONT_END], env=environ, stdout=subprocess.PIPE
        )
        assert front_end.stdout
        await asyncio.to_thread(front_end.stdout.readline)
        with pytest.raises(subprocess.TimeoutExpired):
            await asyncio.to_thread(front_end.wait, chance.uniform(0, 0.25))
        front_end.send_signal(signal.SIGKILL)
        front_end.stdout.close()
        await asyncio.to_thread(front_end.wait)
        async with Workstation(paths, watch=False) as station:
            await station.settled("one")
            view = station.view("one")
            if view.allows("start"):  # type: ignore[arg-type]
                with suppress(NotAllowedError):  # its start went on though its front-end was killed
                    await station.start("one")
            elif view.state is State.PAUSED:
                await station.resume("one")
            pids.add(station.view("one").pid)
    async with Workstation(paths) as station:
        await station.wait_ready("one")
        async with Shell.on(station, "one") as shell:
            assert await shell.run("echo alive") == "alive"
    assert len(pids) == 1


async def test_a_terminals_end_and_interrupt_do_not_reach_the_guest(
    paths: Paths, environ: dict[str, str]
) -> None:
    async with Workstation(paths) as station:
        await station.create("one", small())
    front_end = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FRONT_END, env=environ, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    async with Workstation(paths) as station:
        await eventually(lambda: station.view("one").state is State.RUNNING)
        for number in (signal.SIGINT, signal.SIGHUP):
            if front_end.returncode is None:
                os.killpg(front_end.pid, number)
        await front_end.wait()
        await station.settled("one")
        if station.view("one").state is State.PAUSED:
            await station.resume("one")
        await station.wait_ready("one")
        async with Shell.on(station, "one") as shell:
            assert await shell.run("echo alive") == "alive"

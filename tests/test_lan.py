"""Private networks: who reaches whom, by which name, and what is left behind."""

import asyncio
import os
import signal
import struct
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Shell, eventually, tiny
from tests.test_guest import small
from workstation.core.lan.answers import Answers
from workstation.core.lan.plug import plug_in
from workstation.core.workstation import Workstation
from workstation.errors import HostError
from workstation.paths import Paths

LAB = {"mode": "private", "name": "lab"}


def hubs() -> set[int]:
    """The hubs' processes that this test could have started."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        ours = b"workstation.core.lan.hub" in words and b"python" in words.split(b"\0")[0]
        if ours and os.environ["XDG_RUNTIME_DIR"].encode() in words:
            found.add(int(process.name))
    return found


PATIENCE = 240.0
"""Seconds for what comes by itself, on a busy computer without KVM."""


def reaches(who: str) -> str:
    """For the guest's shell: until it does."""
    return f"until ping -c1 -W5 {who} | grep 'bytes from'; do sleep 0.2; done"


async def address(shell: Shell) -> str:
    found = "ip -4 -o addr show eth0 2>/dev/null | awk '{print $4}' | cut -d/ -f1"
    return await shell.run(f'until [ "$({found})" ]; do sleep 0.2; done; {found}', PATIENCE)


@pytest.mark.long
@pytest.mark.qemu
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("with_appliance")
async def test_two_machines_reach_each_other_by_name_and_a_third_does_not(
    station: Workstation,
) -> None:
    for name, network in (("one", LAB), ("two", LAB), ("three", {**LAB, "name": "other"})):
        await station.create(name, small(networks=[network], memory="96 MiB"))
    await asyncio.gather(*(station.start(name) for name in ("one", "two", "three")))
    await asyncio.gather(
        *(station.wait_ready(name, timeout=PATIENCE) for name in ("one", "two", "three"))
    )
    async with (
        Shell.on(station, "one") as one,
        Shell.on(station, "two") as two,
        Shell.on(station, "three") as three,
    ):
        there = await address(two)
        await address(one)
        page = "until wget -q -O - http://two/ | grep appliance; do sleep 0.2; done"
        assert "appliance" in await one.run(page, PATIENCE)
        assert "bytes from" in await one.run(reaches("two.lab"), PATIENCE)
        assert "bytes from" not in await one.run("ping -c1 -W1 nobody; ping -c1 -W1 10.0.2.2")
        await address(three)
        assert "bytes from" not in await three.run(f"ping -c1 -W2 {there}; ping -c1 -W1 two")
        # It has its address, and the others theirs, after a revert: nothing of that is written.
        await station.layers.snapshot("one", "a")
        await station.layers.revert("one", "a", discard=True)
    async with Shell.on(station, "one") as one, Shell.on(station, "two") as two:
        assert "bytes from" in await one.run(reaches(there), PATIENCE)
        await station.kill("three")
        await eventually(lambda: len(hubs()) == 1)
        # Somebody kills the hub: it comes back by itself, and the guests notice next to nothing.
        (old,) = hubs()
        os.kill(old, 9)
        await eventually(lambda: bool(hubs() - {old}))
        assert "bytes from" in await one.run(reaches(there), PATIENCE)
        await station.kill("one")
        await station.start("one")
        await station.wait_ready("one")
    async with Shell.on(station, "one") as one:
        await address(one)
        assert "bytes from" in await one.run(reaches("two"), PATIENCE)
    await station.kill("one")
    await station.kill("two")
    await eventually(lambda: not hubs())
    assert not list(station.paths.network("lab").parent.glob("*.sock"))


# -- the hub by itself ----------------------------------------------------------------


class End:
    """A machine's end of a cable, as QEMU has it."""

    def __init__(self, paths: Paths, name: str, held: ExitStack) -> None:
        self._waits = held.enter_context(plug_in(paths, "lab", name, "net0"))
        self._waits.settimeout(30)
        self._held = held
        self.come()

    def come(self) -> None:
        """Wait for the hub."""
        self.cable, _ = self._waits.accept()
        self._held.enter_context(self.cable)
        self.cable.settimeout(30)

    def send(self, frame: bytes) -> None:
        self.cable.sendall(struct.pack(">I", len(frame)) + frame)

    def take(self) -> bytes:
        (length,) = struct.unpack(">I", self._exactly(4))
        return self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = self.cable.recv(size - len(found))
            assert piece, "unplugged"
            found += piece
        return found


def frame(target: bytes, source: bytes, text: bytes) -> bytes:
    return (target + source + b"\x88\xb5" + text).ljust(60, b"\0")


A, B, C = (bytes((2, 0, 0, 0, 0, number)) for number in (1, 2, 3))
ALL = b"\xff" * 6


async def test_a_frame_goes_to_its_address_once_that_is_known(paths: Paths) -> None:
    with ExitStack() as held:
        one, two, three = (End(paths, name, held) for name in ("a", "b", "c"))
        assert len(hubs()) == 1
        # Each has spoken once, and so heard that the hub knows it.
        for end, mac in ((one, A), (two, B), (three, C)):
            end.send(frame(ALL, mac, b"hello"))
        heard = {await asyncio.to_thread(end.take) for end in (one, two, three) for _ in range(2)}
        assert heard == {frame(ALL, mac, b"hello") for mac in (A, B, C)}
        one.send(frame(B, A, b"for b"))
        one.send(frame(ALL, A, b"for all"))
        assert await asyncio.to_thread(two.take) == frame(B, A, b"for b")
        assert await asyncio.to_thread(two.take) == frame(ALL, A, b"for all")
        assert await asyncio.to_thread(three.take) == frame(ALL, A, b"for all")
        # Nonsense unplugs who says it, and nobody else.
        three.cable.sendall(b"\xff\xff\xff\xff")
        assert await asyncio.to_thread(three.cable.recv, 1) == b""
        # One who takes nothing holds nobody up.
        for _ in range(4000):
            one.send(frame(ALL, A, b"x" * 1400))
        for _ in range(100):
            await asyncio.to_thread(two.take)
    await eventually(lambda: not hubs())
    assert not paths.network("lab").exists()


async def test_a_hub_that_is_killed_comes_back_to_its_machines(paths: Paths) -> None:
    with ExitStack() as held:
        one, two = (End(paths, name, held) for name in ("a", "b"))
        for _ in range(3):
            (old,) = hubs()
            os.kill(old, 9)
            for end in (one, two):
                assert await asyncio.to_thread(end.cable.recv, 1) == b""
                await asyncio.to_thread(end.come)
            one.send(frame(ALL, A, b"again"))
            assert await asyncio.to_thread(two.take) == frame(ALL, A, b"again")
            assert len(hubs()) == 1 and old not in hubs()
    await eventually(lambda: not hubs())
    assert not list(paths.network("lab").parent.glob("lab*@*"))


def keeper_of(hub: int) -> int:
    """Who would start it again: its parent."""
    return int(Path(f"/proc/{hub}/stat").read_text().rpartition(")")[2].split()[1])


async def test_a_hub_without_anybody_who_starts_it_is_started_by_the_next_who_comes(
    paths: Paths,
) -> None:
    with ExitStack() as held:
        one = End(paths, "a", held)
        (old,) = hubs()
        os.kill(keeper_of(old), 9)
        os.kill(old, 9)
        await eventually(lambda: not hubs())
        two = End(paths, "b", held)
        await asyncio.to_thread(one.come)
        two.send(frame(ALL, B, b"hello"))
        assert await asyncio.to_thread(one.take) == frame(ALL, B, b"hello")
    await eventually(lambda: not hubs())


async def test_a_hub_that_is_killed_while_it_is_called_is_started_anew(paths: Paths) -> None:
    with ExitStack() as held:
        one = End(paths, "a", held)
        (old,) = hubs()
        keeper = keeper_of(old)
        os.kill(old, signal.SIGSTOP)
        coming = asyncio.create_task(asyncio.to_thread(End, paths, "b", held))
        await eventually(paths.network_end("lab", "b", "net0").exists)
        await asyncio.sleep(0.1)  # it calls
        os.kill(keeper, 9)
        os.kill(old, 9)
        two = await coming
        await asyncio.to_thread(one.come)
        two.send(frame(ALL, B, b"hello"))
        assert await asyncio.to_thread(one.take) == frame(ALL, B, b"hello")
    await eventually(lambda: not hubs())


async def test_a_machine_that_starts_again_at_once_is_plugged_in(paths: Paths) -> None:
    with ExitStack() as held:
        one = End(paths, "a", held)
        for _ in range(20):
            with ExitStack() as short:
                End(paths, "b", short)
        two = End(paths, "b", held)
        two.send(frame(ALL, B, b"hello"))
        assert await asyncio.to_thread(one.take) == frame(ALL, B, b"hello")


async def test_machines_that_start_at_the_same_time_have_one_hub(paths: Paths) -> None:
    with ExitStack() as held:
        names = [f"m{number}" for number in range(8)]
        await asyncio.gather(*(asyncio.to_thread(End, paths, name, held) for name in names))
        assert len(hubs()) == 1
    await eventually(lambda: not hubs())


@pytest.mark.qemu
async def test_a_front_end_brings_a_network_back_that_was_killed_whole(
    station: Workstation,
) -> None:
    await station.create("one", tiny(networks=[LAB]))
    await station.start("one")
    await station.settled("one")
    (old,) = hubs()
    os.kill(keeper_of(old), 9)
    os.kill(old, 9)
    await eventually(lambda: bool(hubs() - {old}))
    monitor = station.machine("one").monitor
    assert monitor
    asked = {"command-line": "info network"}
    async with asyncio.timeout(30):
        while "stream,unix:" not in await monitor.execute("human-monitor-command", **asked):
            await monitor.stirred(0.2)
    await station.kill("one")
    await eventually(lambda: not hubs())


@given(st.binary(min_size=14, max_size=600), st.booleans())
def test_no_packet_spoils_the_hubs_answers(noise: bytes, shaped: bool) -> None:
    answers = Answers("lab")
    if shaped:  # as far as the ports it looks like a question
        head = b"\x45\0" + struct.pack(">H", len(noise) + 28) + bytes(5) + b"\x11" + bytes(6)
        ports = b"\0\x44\0\x43" if noise[0] & 1 else b"\x30\x39\0\x35"
        target = answers.address
        noise = (
            ALL + A + b"\x08\0" + head + target + ports + struct.pack(">HH", len(noise), 0) + noise
        )
    for answer in answers.to(noise, "one"):
        assert len(answer) < 1500


def test_missing_taps_and_bridges_say_how_they_are_made(paths: Paths) -> None:
    from workstation.core.lan.plug import open_bridge, open_tap

    with pytest.raises(HostError, match="no tap device") as caught:
        open_tap("no-such-tap")
    assert "ip tuntap add" in caught.value.hint
    with pytest.raises(HostError, match="no bridge"):
        open_bridge("no-such-br")

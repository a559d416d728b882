"""A bundle on its way through a pipe: to another laptop, cut off, changed, held up, given up."""

import asyncio
import json
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.carried import NOTHING, SECRET, disk, expected, left, made, put
from tests.conftest import eventually, tiny
from tests.laptops import at, laptop, other_home
from tests.test_guest import awake
from tests.test_layers import recall, remember, with_disk
from workstation.core.bundle import receive
from workstation.core.bundle.export import Wish
from workstation.core.bundle.importing import Imported
from workstation.core.bundle.receive import Received
from workstation.core.library import library
from workstation.core.workstation import Workstation
from workstation.errors import HostError, InvalidError, UsageError, WorkstationError
from workstation.model.bundle import CHUNK, StoredFile
from workstation.model.events import Activity
from workstation.model.machine import State

__all__ = ["laptop", "other_home"]

PATIENCE = 60


@contextmanager
def sent(data: bytes) -> Iterator[int]:
    """A pipe out of which that comes, and then nothing more."""
    reader, writer = os.pipe()

    def send() -> None:
        with suppress(BrokenPipeError), os.fdopen(writer, "wb") as pipe:
            pipe.write(data)  # unless it is refused before its end

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield reader
    finally:
        os.close(reader)
        sender.join()


async def take(laptop: Workstation, data: bytes, passphrase: str = "") -> Imported:
    with sent(data) as reader:
        return await laptop.carry.import_stream(reader, passphrase=passphrase)


async def stream(station: Workstation, wish: Wish | None = None) -> bytes:
    """What an export of “one” into a pipe gives."""
    reader, writer = os.pipe()

    def collect() -> bytes:
        with os.fdopen(reader, "rb") as pipe:
            return pipe.read()

    collecting = asyncio.ensure_future(asyncio.to_thread(collect))
    try:
        await station.carry.stream("one", writer, wish)
    finally:
        os.close(writer)
    return await collecting


# -- room ---------------------------------------------------------------------------------


async def test_a_disk_is_written_once_where_it_stays(
    station: Workstation, laptop: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(station, 1, 2)
    data = await stream(station)
    inodes: set[int] = set()

    def watched(*args: object) -> Received:
        received = receive_all(*args)  # type: ignore[arg-type]
        inodes.update(path.stat().st_ino for path, _ in received.files.values())
        assert received.taken() < len(data) + CHUNK
        return received

    receive_all = receive.receive
    monkeypatch.setattr(receive, "receive", watched)
    await take(laptop, data)
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(2)
    assert disk(laptop, "one", "s1")[: 2 * CHUNK] == expected(1)
    store = laptop.layers.store
    disks = [store.directory(layer) / "drive0.qcow2" for layer in store.ids()]
    assert len(disks) == 2
    assert {file.stat().st_ino for file in disks} <= inodes
    assert all(file.stat().st_nlink == 1 for file in disks)
    assert left(laptop)[2] == []


@pytest.mark.parametrize("wish", [Wish(passphrase=SECRET)])
async def test_what_is_packed_gives_its_room_back_as_it_is_unpacked(
    station: Workstation, laptop: Workstation, monkeypatch: pytest.MonkeyPatch, wish: Wish
) -> None:
    await station.create("one", tiny(drives=[{"size": "64 MiB"}]))
    put(station, "one", 1, 12 * CHUNK)
    data = await stream(station, wish)
    most = 0

    def watched(received: Received, file: StoredFile, chunk: int) -> None:
        nonlocal most
        used(received, file, chunk)
        making = laptop.paths.making
        found = sum(one.stat().st_blocks * 512 for one in making.rglob("*") if one.is_file())
        most = max(most, found)

    used = Received.used
    monkeypatch.setattr(Received, "used", watched)
    await take(laptop, data, wish.passphrase)
    content = random.Random(1).randbytes(12 * CHUNK)
    assert disk(laptop, "one")[: 12 * CHUNK] == content
    # Random bytes cannot be packed: kept until the end, they would take twice the room.
    assert 12 * CHUNK < most < 20 * CHUNK


# -- cut off, changed -----------------------------------------------------------------------


async def refused(laptop: Workstation, data: bytes, what: str) -> None:
    with pytest.raises(WorkstationError) as caught:
        await take(laptop, data)
    assert caught.value.hint, what
    assert str(laptop.paths.making) not in f"{caught.value} {caught.value.hint}"
    assert left(laptop) == NOTHING, what


async def hurt(station: Workstation, laptop: Workstation, *, flips: int, cuts: int) -> None:
    await made(station, 1)
    good, chance = await stream(station), random.Random(11)
    for _ in range(flips):
        at, bit = chance.randrange(len(good)), 1 << chance.randrange(8)
        bad = bytearray(good)
        bad[at] ^= bit
        await refused(laptop, bytes(bad), f"bit {bit} of byte {at}")
    for _ in range(cuts):
        length = chance.randrange(len(good))
        await refused(laptop, good[:length], f"the end from byte {length} on")
    for length in (len(good) - 1, len(good) - 512, len(good) - 1024, len(good) - 2048):
        await refused(laptop, good[:length], f"the end from byte {length} on")
    await refused(laptop, good + b"\0", "something behind its end")
    assert (await take(laptop, good)).layers == 1


async def test_of_a_stream_that_was_changed_nothing_is_left(
    station: Workstation, laptop: Workstation
) -> None:
    await hurt(station, laptop, flips=12, cuts=6)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_of_any_changed_stream_nothing_is_left(
    station: Workstation, laptop: Workstation
) -> None:
    await hurt(station, laptop, flips=300, cuts=150)


async def test_a_bundle_that_was_added_to_comes_through_a_pipe_too(
    station: Workstation, laptop: Workstation, tmp_path: Path
) -> None:
    file = tmp_path / "one.vmbundle"
    await made(station, 1)
    await station.carry.export("one", file)
    first = file.read_bytes()
    put(station, "one", 2)
    await station.carry.export("one", file)
    data = file.read_bytes()
    cut = data[: (len(first) + len(data)) // 2]
    with pytest.raises(InvalidError, match="no whole bundle"):
        await take(laptop, cut)
    assert left(laptop) == NOTHING
    assert (await take(laptop, data)).layers == 2
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(2)


async def test_a_passphrase_is_asked_for_before_all_of_it_comes(
    station: Workstation, laptop: Workstation
) -> None:
    await made(station, 1)
    data = await stream(station, Wish(passphrase=SECRET))
    for passphrase, what in (("", "is encrypted"), ("wrong horse", "not the bundle's")):
        with pytest.raises(UsageError, match=what):
            await take(laptop, data[:2048], passphrase)
    assert left(laptop) == NOTHING
    await take(laptop, data, SECRET)
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(1)


async def test_without_room_it_is_refused_as_soon_as_that_is_known(
    station: Workstation, laptop: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(station, 1)
    data = await stream(station)
    usage = shutil.disk_usage(laptop.paths.data)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**20))
    with pytest.raises(HostError, match="is free"):
        await take(laptop, data[: 3 * 512])
    assert left(laptop) == NOTHING


# -- given up -------------------------------------------------------------------------------


async def given_up(station: Workstation, descriptor: int) -> None:
    """Cancel an export into what nobody reads, when it cannot go on."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    task = asyncio.ensure_future(station.carry.stream("one", descriptor))
    await eventually(lambda: not poll.poll(0), PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE)


async def test_an_export_that_nobody_reads_can_be_given_up(station: Workstation) -> None:
    await made(station, 1)
    reader, writer = os.pipe()
    assert os.get_blocking(writer)
    await given_up(station, writer)
    assert os.get_blocking(writer)  # what others have of it too is as it was
    os.close(reader)
    os.close(writer)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        await given_up(station, ours.fileno())


async def test_a_reader_that_goes_away_is_told(station: Workstation) -> None:
    await made(station, 1)
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(WorkstationError, match="has closed"):
        await station.carry.stream("one", writer)
    os.close(writer)


async def test_an_import_of_what_does_not_come_can_be_given_up(
    station: Workstation, laptop: Workstation
) -> None:
    await made(station, 1)
    data = await stream(station)
    reader, writer = os.pipe()
    begun = asyncio.Event()
    leave = laptop.subscribe(
        lambda event: begun.set() if isinstance(event, Activity) and event.done else None
    )
    task = asyncio.ensure_future(laptop.carry.import_stream(reader))
    await asyncio.to_thread(_write, writer, data[: CHUNK + 4096])
    await asyncio.wait_for(begun.wait(), PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE)
    leave()
    os.close(writer)
    os.close(reader)
    assert left(laptop) == NOTHING


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


async def test_what_was_killed_while_it_came_is_cleared_away(
    station: Workstation, laptop: Workstation, other_home: Path, environ: dict[str, str]
) -> None:
    await made(station, 1)
    data = await stream(station)
    there = environ | {"HOME": str(other_home), "XDG_RUNTIME_DIR": str(other_home / "run")}
    command = [sys.executable, "-m", "workstation", "import", "-"]
    with subprocess.Popen(command, env=there, stdin=subprocess.PIPE) as killed:
        assert killed.stdin
        killed.stdin.write(data[: CHUNK + 4096])
        killed.stdin.flush()
        killed.kill()
    library.clear_leftovers(laptop.paths)
    assert left(laptop) == NOTHING


# -- two laptops ------------------------------------------------------------------------------

WIRE = """
import os, socket, sys
side, address, port, *command = sys.argv[1:]
if side == "listen":
    with socket.create_server((address, int(port))) as server:
        print(server.getsockname()[1], flush=True)
        wire, _ = server.accept()
else:
    wire = socket.create_connection((address, int(port)), timeout=60)
    wire.settimeout(None)
os.dup2(wire.fileno(), 0 if side == "listen" else 1)
wire.close()
os.execv(sys.executable, [sys.executable, "-m", "workstation", *command])
"""
"""A program whose standard input or output is a TCP connection: a pipe without ssh."""

BETWEEN = """
import json, os, subprocess, sys
def ip(*words): subprocess.run(["ip", *words], check=True)
receiver, sender = json.loads(sys.argv[1]), json.loads(sys.argv[2])
gate = "import os, sys; print('there', flush=True); sys.stdin.readline();"
gate += "os.execve(sys.argv[1], sys.argv[1:], os.environ)"
there = subprocess.Popen(
    ["unshare", "--net", "--", sys.executable, "-c", gate, *receiver["argv"]],
    env=receiver["env"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
assert there.stdout.readline() == "there\\n"
ip("link", "add", "name", "here", "type", "veth", "peer", "name", "there", "netns", str(there.pid))
ip("addr", "add", "192.0.2.1/30", "dev", "here")
ip("link", "set", "here", "up")
inside = ["nsenter", "--net=/proc/%d/ns/net" % there.pid, "--", "ip"]
subprocess.run([*inside, "addr", "add", "192.0.2.2/30", "dev", "there"], check=True)
subprocess.run([*inside, "link", "set", "there", "up"], check=True)
there.stdin.write("go\\n")
there.stdin.flush()
there.stdout.readline()  # it listens
sent = subprocess.run(sender["argv"], env=sender["env"])
there.communicate()
sys.exit(sent.returncode or there.returncode)
"""
"""Two network namespaces with a cable between them, a program in each. Runs as root of its own."""


def wire(side: str, address: str, port: int, *command: str) -> list[str]:
    return [sys.executable, "-c", WIRE, side, address, str(port), *command]


def why_not() -> str:
    """Why this host makes no network namespaces; empty where it does."""
    for program in ("unshare", "nsenter", "ip"):
        if not shutil.which(program):
            return f"{program} is not installed"
    words = ["unshare", "-rn", "ip", "link", "add", "name", "here", "type", "veth"]
    tried = subprocess.run(words, capture_output=True, text=True, check=False)
    return f"no network namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


def over_loopback(here: dict[str, str], there: dict[str, str]) -> None:
    receiving = wire("listen", "127.0.0.1", 0, "import", "-")
    with subprocess.Popen(receiving, env=there, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout
        port = int(receiver.stdout.readline())
        subprocess.run(
            wire("connect", "127.0.0.1", port, "export", "one", "-"), env=here, check=True
        )
        receiver.stdout.read()
    assert receiver.returncode == 0


def between_namespaces(here: dict[str, str], there: dict[str, str]) -> None:
    receiver = {"argv": wire("listen", "192.0.2.2", 7, "import", "-"), "env": there}
    sender = {"argv": wire("connect", "192.0.2.2", 7, "export", "one", "-"), "env": here}
    words = ["unshare", "-rn", sys.executable, "-c", BETWEEN]
    subprocess.run([*words, json.dumps(receiver), json.dumps(sender)], check=True, env=here)


@pytest.mark.qemu
@pytest.mark.usefixtures("with_appliance")
@pytest.mark.parametrize("way", [over_loopback, between_namespaces])
async def test_a_running_guest_goes_on_at_the_other_end_of_a_wire(
    station: Workstation, environ: dict[str, str], other_home: Path, way: object
) -> None:
    if way is between_namespaces and (reason := why_not()):
        pytest.skip(reason)
    there = environ | {"HOME": str(other_home), "XDG_RUNTIME_DIR": str(other_home / "run")}
    async with Workstation(at(other_home), front_end="test", watch=False) as other:
        other.carry.keys.add(station.carry.keys.own_fingerprint(), "the first one")
    await awake(station, "one", with_disk())
    await remember(station, "one", "first")
    await station.layers.snapshot("one", "before")
    await remember(station, "one", "second")
    send = over_loopback if way is over_loopback else between_namespaces
    await asyncio.to_thread(send, environ, there)
    await station.settled("one")
    assert station.view("one").state is State.RUNNING
    await station.kill("one")
    shutil.rmtree(station.paths.data)
    async with Workstation(at(other_home), front_end="test", watch=False) as other:
        await other.start("one")
        assert await recall(other, "one") == ("second", "second")
        await other.layers.revert("one", "before", discard=True)
        assert await recall(other, "one") == ("first", "first")

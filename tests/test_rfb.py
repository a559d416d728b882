"""Our VNC client against servers that are right, wrong, hostile, or silent."""

import asyncio
import struct
import tempfile
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workstation.errors import MonitorError
from workstation.qemu.rfb import client as module
from workstation.qemu.rfb.canvas import BYTES, Box, Canvas
from workstation.qemu.rfb.client import Client
from workstation.qemu.rfb.wire import Encoding

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HELLO = b"RFB 003.008\n" + b"\x01\x01" + bytes(4)
RED, GREEN = b"\xff\x00\x00\x00", b"\x00\xff\x00\x00"


def greeting(width: int, height: int, name: bytes = b"QEMU") -> bytes:
    return HELLO + struct.pack(">HH16xI", width, height, len(name)) + name


def update(*rectangles: bytes) -> bytes:
    return struct.pack(">BxH", 0, len(rectangles)) + b"".join(rectangles)


def rectangle(box: tuple[int, int, int, int], encoding: int, data: bytes = b"") -> bytes:
    """The box as x, y, width, height."""
    return struct.pack(">HHHHi", *box, encoding) + data


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[Path]:
    """A server on a unix socket that talks like that to everybody."""
    with tempfile.TemporaryDirectory(prefix="ws-") as directory:
        path = Path(directory) / "vnc.sock"
        server = await asyncio.start_unix_server(talk, str(path))
        async with server:
            yield path
            server.close()


def saying(*messages: bytes, then_ends: bool = False) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"".join(messages))
            await writer.drain()
            if then_ends:
                writer.write_eof()
            while await reader.read(1 << 16):
                pass
        except ConnectionError:
            pass
        finally:
            writer.close()

    return talk


@asynccontextmanager
async def connected(*messages: bytes, size: tuple[int, int] = (4, 2)) -> AsyncIterator[Client]:
    async with serving(saying(greeting(*size), *messages, then_ends=True)) as path:
        client = await Client.connect(path)
        try:
            yield client
        finally:
            client.close()


def row(client: Client, y: int) -> list[tuple[int, int, int]]:
    return [client.canvas.pixel(x, y) for x in range(client.canvas.width)]


# -- what a right server says -------------------------------------------------


async def test_raw_pixels_land_where_they_belong() -> None:
    whole = rectangle((0, 0, 4, 2), Encoding.RAW, RED * 8)
    part = rectangle((1, 1, 2, 1), Encoding.RAW, GREEN * 2)
    async with connected(update(whole, part)) as client:
        assert (await client.update())[-2:] == [Box(0, 0, 4, 2), Box(1, 1, 3, 2)]
        assert row(client, 0) == [(255, 0, 0)] * 4
        assert row(client, 1) == [(255, 0, 0), (0, 255, 0), (0, 255, 0), (255, 0, 0)]


async def test_copied_pixels_may_overlap_their_source() -> None:
    pixels = b"".join(bytes([number, 0, 0, 0]) for number in range(8))
    first = rectangle((0, 0, 4, 2), Encoding.RAW, pixels)
    copy = rectangle((1, 0, 3, 2), Encoding.COPY_RECT, struct.pack(">HH", 0, 0))
    async with connected(update(first), update(copy)) as client:
        await client.update()
        assert await client.update() == [Box(1, 0, 4, 2)]
        assert [pixel[0] for pixel in row(client, 0)] == [0, 0, 1, 2]
        assert [pixel[0] for pixel in row(client, 1)] == [4, 4, 5, 6]


async def test_packed_pixels_are_one_stream_over_all_rectangles() -> None:
    stream = zlib.compressobj()

    def packed(pixels: bytes) -> bytes:
        data = stream.compress(pixels) + stream.flush(zlib.Z_SYNC_FLUSH)
        return struct.pack(">I", len(data)) + data

    one = rectangle((0, 0, 4, 2), Encoding.ZLIB, packed(RED * 8))
    two = rectangle((0, 1, 4, 1), Encoding.ZLIB, packed(GREEN * 4))
    async with connected(update(one, two)) as client:
        await client.update()
        assert row(client, 0) == [(255, 0, 0)] * 4
        assert row(client, 1) == [(0, 255, 0)] * 4


@pytest.mark.parametrize(
    "resized",
    [
        rectangle((0, 0, 6, 3), Encoding.DESKTOP_SIZE),
        rectangle(
            (0, 0, 6, 3),
            Encoding.EXTENDED_DESKTOP_SIZE,
            b"\x01\0\0\0" + struct.pack(">IHHHHI", 0, 0, 0, 6, 3, 0),
        ),
    ],
    ids=["DesktopSize", "ExtendedDesktopSize"],
)
async def test_a_change_of_size_is_followed(resized: bytes) -> None:
    before = update(rectangle((0, 0, 4, 2), Encoding.RAW, RED * 8))
    after = update(rectangle((0, 0, 6, 3), Encoding.RAW, GREEN * 18))
    async with connected(before, update(resized), after) as client:
        await client.update()
        old = client.canvas
        damage = await client.update()
        assert (client.canvas.width, client.canvas.height) == (6, 3)
        assert client.canvas is not old
        assert damage[-1] == Box(0, 0, 6, 3)
        assert row(client, 2) == [(0, 255, 0)] * 6


async def test_what_comes_besides_pixels_is_kept() -> None:
    cursor = RED + GREEN + b"\x80"  # two pixels, of which the mask shows the first
    said = update(
        rectangle((1, 0, 2, 1), Encoding.CURSOR, cursor),
        rectangle((0, 0, 4, 2), Encoding.POINTER_TYPE),
        rectangle((0, 0, 4, 2), Encoding.LED_STATE, b"\x04"),
        rectangle((0, 0, 0, 0), Encoding.EXTENDED_KEY),
        rectangle((0, 0, 4, 2), Encoding.RAW, RED * 8),
    )
    bell, text = b"\x02", b"\x03\0\0\0" + struct.pack(">I", 5) + b"hello"
    async with connected(bell, text, said) as client:
        await client.update()
        assert client.cursor
        assert client.cursor.pixels == b"\xff\0\0\xff" + b"\0\xff\0\0"
        assert (client.cursor.hot_x, client.absolute, client.caps_lock) == (1, False, True)


async def test_a_pointer_that_changes_is_told_and_nothing_of_the_picture_is_lost() -> None:
    whole = update(rectangle((0, 0, 4, 2), Encoding.RAW, RED * 8))
    shape = update(rectangle((0, 0, 9, 1), Encoding.CURSOR, GREEN * 9 + b"\x81\x80"))
    part = update(rectangle((0, 0, 1, 1), Encoding.RAW, GREEN))
    async with connected(whole, shape, part) as client:
        assert await client.update() == [Box(0, 0, 4, 2)] * 2
        assert await client.update() == []
        assert client.cursor
        assert client.cursor.pixels[3::4] == bytes((255, 0, 0, 0, 0, 0, 0, 255, 255))
        assert await client.update() == [Box(0, 0, 1, 1)]


async def test_keys_and_pointer_are_sent_as_qemu_takes_them() -> None:
    got = asyncio.Queue[bytes]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting(4, 2))
        await reader.readexactly(12 + 1 + 1 + 20 + 4 + 4 * len(module.ENCODINGS))
        for size in (12, 12, 6, 6, 24):
            got.put_nowait(await reader.readexactly(size))
        writer.close()

    async with serving(talk) as path:
        client = await Client.connect(path)
        client.key(0xD3, down=True)
        client.key(0xD3, down=False)
        client.pointer(3, 1, 5)
        client.pointer(900, -9, 0)
        client.ask_size(640, 480)
        sent = [await got.get() for _ in range(5)]
        client.close()
    assert sent[0] == b"\xff\x00\x00\x01" + bytes(4) + b"\x00\x00\x00\xd3"
    assert sent[1] == b"\xff\x00\x00\x00" + bytes(4) + b"\x00\x00\x00\xd3"
    assert sent[2] == b"\x05\x05\x00\x03\x00\x01"
    assert sent[3] == b"\x05\x00\x00\x03\x00\x00", "kept on the screen"
    assert sent[4][:8] == b"\xfb\x00\x02\x80\x01\xe0\x01\x00"


# -- what a wrong one says ----------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"RFB 003.003\n" + bytes(100),
        b"RFB 003.008\n" + b"\x01\x02",
        b"RFB 003.008\n" + b"\x00" + struct.pack(">I", 2**31),
        b"RFB 003.008\n" + b"\x01\x01" + b"\x00\x00\x00\x01",
        greeting(0, 10),
        greeting(10, 0),
        greeting(65535, 65535),
        greeting(8192, 8192),
        HELLO + struct.pack(">HH16xI", 4, 2, 2**32 - 1),
        greeting(4, 2)[:-2],
    ],
)
async def test_a_greeting_that_is_none_is_an_error(said: bytes) -> None:
    async with serving(saying(said, then_ends=True)) as path:
        with pytest.raises(MonitorError, match="the guest's screen"):
            await Client.connect(path)


@pytest.mark.parametrize(
    "said",
    [
        b"\x07",
        update(rectangle((0, 0, 5, 2), Encoding.RAW, RED * 10)),
        update(rectangle((65535, 65535, 65535, 65535), Encoding.RAW)),
        update(rectangle((0, 0, 4, 2), 5)),
        update(rectangle((0, 0, 4, 2), Encoding.COPY_RECT, struct.pack(">HH", 1, 0))),
        update(rectangle((0, 0, 4, 2), Encoding.ZLIB, struct.pack(">I", 2**32 - 1))),
        update(rectangle((0, 0, 4, 2), Encoding.ZLIB, struct.pack(">I", 4) + b"junk")),
        update(rectangle((0, 0, 60000, 60000), Encoding.DESKTOP_SIZE)),
        update(rectangle((0, 0, 0, 1), Encoding.DESKTOP_SIZE)),
        update(rectangle((0, 0, 60000, 60000), Encoding.CURSOR)),
        b"\x03\0\0\0" + struct.pack(">i", -(2**31)),
        update(rectangle((0, 0, 4, 2), Encoding.RAW, RED * 7)),
        b"",
    ],
)
async def test_a_message_that_is_none_ends_the_connection(said: bytes) -> None:
    async with connected(said) as client:
        with pytest.raises(MonitorError, match="the guest's screen"):
            await client.update()
        assert not client.open
        with pytest.raises(MonitorError):
            client.key(0x1E, down=True)


async def test_a_bomb_is_not_unpacked() -> None:
    bomb = zlib.compress(bytes(100 << 20), 9)
    said = update(rectangle((0, 0, 4, 2), Encoding.ZLIB, struct.pack(">I", 4000) + bomb[:4000]))
    tracemalloc.start()
    try:
        async with connected(said) as client:
            with pytest.raises(MonitorError):
                await client.update()
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


async def test_a_server_that_copies_without_end_is_left() -> None:
    """65,535 copies of a large screen are some megabytes to say, and hours to do."""
    copy = rectangle((0, 0, 4096, 2048), Encoding.COPY_RECT, struct.pack(">HH", 0, 0))
    said = struct.pack(">BxH", 0, 65535) + copy * 4000
    async with connected(said, size=(4096, 2048)) as client:
        with pytest.raises(MonitorError, match="without end"):
            await client.update()


async def test_a_silent_server_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELLO_SECONDS", 0.05)
    async with serving(saying(b"RFB 003")) as path:
        with pytest.raises(MonitorError, match="in time"):
            await Client.connect(path)
    monkeypatch.setattr(module, "MESSAGE_SECONDS", 0.05)
    async with serving(saying(greeting(4, 2), b"\x00\x00")) as path:
        monkeypatch.setattr(module, "HELLO_SECONDS", 10)
        client = await Client.connect(path)
        with pytest.raises(MonitorError, match="in time"):
            await client.update()
        assert not client.open


async def test_a_server_that_reads_nothing_is_left() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(greeting(4, 2))
        await writer.drain()
        await gone.wait()
        writer.close()

    gone = asyncio.Event()
    async with serving(talk) as path:
        client = await Client.connect(path)
        with pytest.raises(MonitorError):
            for _ in range(100_000):
                client.key(0x1E, down=True)
        assert not client.open
        gone.set()


async def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MonitorError):
        await Client.connect(tmp_path / "nothing")


# -- fuzz ---------------------------------------------------------------------

boxes = st.tuples(*(st.one_of(st.integers(0, 5), st.integers(0, 65535)) for _ in range(4)))
bytes_ = st.binary(max_size=200)
rectangles = st.builds(
    rectangle,
    boxes,
    st.one_of(st.sampled_from([int(encoding) for encoding in Encoding]), st.integers(-400, 20)),
    bytes_,
)
messages = st.one_of(
    bytes_,
    st.lists(rectangles, max_size=6).map(lambda found: update(*found)),
    st.builds(lambda kind, rest: bytes([kind]) + rest, st.integers(0, 255), bytes_),
)


async def _to_the_end(said: bytes) -> None:
    async with serving(saying(said, then_ends=True)) as path, asyncio.timeout(10):
        try:
            client = await Client.connect(path)
        except MonitorError:
            return
        try:
            while True:
                damage = await client.update()
                canvas = client.canvas
                assert len(canvas.data) == 4 * canvas.width * canvas.height
                assert all(box.right <= 65535 for box in damage)
        except MonitorError:
            assert not client.open


def test_an_empty_box_changes_nothing() -> None:
    canvas = Canvas(4, 3)
    canvas.put(canvas.box, bytes(range(4 * 3 * BYTES)))
    before = bytes(canvas.data)
    for box in (Box(2, 1, 2, 3), Box(1, 2, 3, 2), Box(4, 3, 4, 3)):
        canvas.put(box, canvas.take(box))
        canvas.copy(box, 0, 0)
    assert canvas.data == before


@settings(max_examples=60)
@given(st.lists(messages, max_size=8))
def test_any_messages_end_in_our_own_error(said: list[bytes]) -> None:
    asyncio.run(_to_the_end(greeting(4, 2) + b"".join(said)))


@settings(max_examples=40)
@given(st.binary(max_size=400), st.integers(0, 40))
def test_any_bytes_end_in_our_own_error(said: bytes, kept: int) -> None:
    asyncio.run(_to_the_end(greeting(4, 2)[:kept] + said))


@pytest.mark.long
@settings(max_examples=3000)
@given(st.lists(messages, max_size=12))
def test_many_messages_end_in_our_own_error(said: list[bytes]) -> None:
    asyncio.run(_to_the_end(greeting(4, 2) + b"".join(said)))

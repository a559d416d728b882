"""What the server says, read with limits on everything that it could make large or long."""

import asyncio
import struct
import zlib
from typing import NamedTuple

from workstation.qemu.rfb.canvas import BYTES, LARGEST_AREA, LARGEST_SIDE, Box, Canvas
from workstation.qemu.rfb.wire import Encoding

SLICE = 1 << 20
"""Bytes of pixels that are read at a time."""
LARGEST_CURSOR = 512
LARGEST_TEXT = 1 << 20
"""Bytes of a clipboard text or a name; they are read past."""
WORK = 4 * LARGEST_AREA
"""Pixels that one update may touch: a server that copies and copies must not keep us busy."""


_OPACITY = [bytes(255 * (bits >> bit & 1) for bit in range(7, -1, -1)) for bits in range(256)]
"""Of the eight pixels that a byte of a pointer's mask is about."""


class ProtocolError(Exception):
    """The server said what no server of this protocol says."""


class Cursor(NamedTuple):
    """The guest's pointer, where the server does not draw it."""

    width: int
    height: int
    hot_x: int
    hot_y: int
    pixels: bytes
    """Red, green, blue and opacity of each pixel; nothing for no pointer at all."""


class Reader:
    """Reads updates into a canvas, and keeps what else they tell."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._inflate = zlib.decompressobj()
        self._work = 0
        self.canvas = Canvas(1, 1)
        self.cursor: Cursor | None = None
        self.absolute = True
        """Whether the guest's pointer goes where it is told; else it is moved by differences."""
        self.leds = 0
        """Bits: scroll lock, num lock, caps lock."""
        self.resizable = False
        """Whether the server takes wishes for another size."""
        self.damage: list[Box] = []
        """What has changed since somebody emptied it."""
        self.news = False
        """Whether something else has, since somebody took it back: the pointer, the locks."""

    async def exactly(self, count: int) -> bytes:
        return await self._stream.readexactly(count)

    async def values(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, await self.exactly(struct.calcsize(form)))

    async def skip(self, count: int) -> None:
        if count > LARGEST_TEXT:
            raise ProtocolError(f"{count} bytes of text")
        await self.exactly(count)

    # -- messages -----------------------------------------------------------

    async def message(self, kind: int) -> None:
        """The rest of a message, after the byte that says its kind."""
        if kind == 0:
            await self._update()
        elif kind == 1:
            _, count = await self.values(">xHH")
            await self.exactly(6 * count)
        elif kind == 3:
            (count,) = await self.values(">3xi")
            await self.skip(abs(count))
        elif kind != 2:  # 2 is the bell, and has no more bytes
            raise ProtocolError(f"a message of kind {kind}")

    async def _update(self) -> None:
        (count,) = await self.values(">xH")
        self._work = WORK
        for _ in range(count):
            await self._rectangle()

    async def _rectangle(self) -> None:
        x, y, width, height, encoding = await self.values(">HHHHi")
        match encoding:
            case Encoding.DESKTOP_SIZE:
                self.resize(width, height)
            case Encoding.EXTENDED_DESKTOP_SIZE:
                await self._extended_size(x, y, width, height)
            case Encoding.CURSOR:
                await self._cursor(x, y, width, height)
            case Encoding.POINTER_TYPE:
                self.absolute, self.news = x != 0, True
            case Encoding.LED_STATE:
                (self.leds,), self.news = await self.values(">B"), True
            case Encoding.EXTENDED_KEY:
                pass
            case Encoding.RAW | Encoding.COPY_RECT | Encoding.ZLIB:
                await self._pixels(self._inside(x, y, width, height), encoding)
            case _:
                raise ProtocolError(f"encoding {encoding}")

    # -- what is not pixels -------------------------------------------------

    def resize(self, width: int, height: int) -> None:
        """A blank canvas of that size, unless it has it."""
        if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
            raise ProtocolError(f"a screen of {width}x{height}")
        if width * height > LARGEST_AREA:
            raise ProtocolError(f"a screen of {width}x{height}")
        if (width, height) != (self.canvas.width, self.canvas.height):
            self._spend(width * height)
            self.canvas = Canvas(width, height)
            self.damage = [self.canvas.box]

    async def _extended_size(self, reason: int, status: int, width: int, height: int) -> None:
        (screens,) = await self.values(">B3x")
        await self.exactly(16 * screens)
        self.resizable = reason != 1 or status == 0
        if reason != 1 or status == 0:
            self.resize(width, height)

    async def _cursor(self, hot_x: int, hot_y: int, width: int, height: int) -> None:
        if max(width, height) > LARGEST_CURSOR:
            raise ProtocolError(f"a pointer of {width}x{height}")
        self._spend(width * height)
        pixels = bytearray(await self.exactly(width * height * BYTES))
        line = (width + 7) // 8
        mask = await self.exactly(line * height)
        rows = (mask[at : at + line] for at in range(0, len(mask), line or 1))
        seen = (b"".join(_OPACITY[bits] for bits in row)[:width] for row in rows)
        pixels[3::BYTES] = b"".join(seen)
        self.cursor, self.news = Cursor(width, height, hot_x, hot_y, bytes(pixels)), True

    # -- pixels -------------------------------------------------------------

    def _inside(self, x: int, y: int, width: int, height: int) -> Box:
        box = Box(x, y, x + width, y + height)
        if box.right > self.canvas.width or box.bottom > self.canvas.height:
            raise ProtocolError(f"a rectangle outside the screen: {box}")
        self._spend(width * height)
        return box

    def _spend(self, pixels: int) -> None:
        self._work -= pixels
        if self._work < 0:
            raise ProtocolError("an update without end")

    async def _pixels(self, box: Box, encoding: int) -> None:
        if encoding == Encoding.COPY_RECT:
            left, top = await self.values(">HH")
            width, height = box.right - box.left, box.bottom - box.top
            if left + width > self.canvas.width or top + height > self.canvas.height:
                raise ProtocolError("a copy from outside the screen")
            self.canvas.copy(box, left, top)
        elif encoding == Encoding.ZLIB:
            self.canvas.put(box, await self._inflated(box.area * BYTES))
        else:
            await self._raw(box)
        if box.area:
            self.damage.append(box)

    async def _raw(self, box: Box) -> None:
        """In slices of whole rows, so that a large screen is not in memory twice."""
        line = (box.right - box.left) * BYTES
        rows = max(1, SLICE // line) if line else 0
        for top in range(box.top, box.bottom if line else box.top, rows or 1):
            part = box._replace(top=top, bottom=min(top + rows, box.bottom))
            self.canvas.put(part, await self.exactly(part.area * BYTES))

    async def _inflated(self, size: int) -> bytes:
        (length,) = await self.values(">I")
        if length > size + size // 100 + 4096:
            raise ProtocolError(f"{length} bytes for {size} bytes of pixels")
        packed = await self.exactly(length)
        try:
            # One byte of room more, so that the end of the stream's block is taken in too.
            pixels = self._inflate.decompress(packed, size + 1)
        except zlib.error as error:
            raise ProtocolError(str(error)) from error
        if len(pixels) != size:
            raise ProtocolError(f"{len(pixels)} bytes of pixels instead of {size}")
        return pixels

"""One connection to a machine's VNC server, on its unix socket."""

import asyncio
import contextlib
import re
import struct
from pathlib import Path

from workstation.errors import MonitorError
from workstation.qemu.rfb import wire
from workstation.qemu.rfb.canvas import Box, Canvas
from workstation.qemu.rfb.reader import LARGEST_TEXT, Cursor, ProtocolError, Reader
from workstation.qemu.rfb.wire import Encoding

HELLO_SECONDS = 10.0
"""How long connecting may take in all."""
MESSAGE_SECONDS = 20.0
"""How long the rest of a message may take, once it has begun."""
BUFFERED = 4 << 20
"""Bytes that wait here to be read; with fewer a large update comes in many small steps."""
UNSENT = 64 << 10
"""Bytes of input that a server which reads nothing is sent at most."""

ENCODINGS = (
    Encoding.RAW,  # first: on a unix socket, packing takes longer than sending
    Encoding.ZLIB,
    Encoding.COPY_RECT,
    Encoding.EXTENDED_DESKTOP_SIZE,
    Encoding.DESKTOP_SIZE,
    Encoding.EXTENDED_KEY,
    Encoding.POINTER_TYPE,
    Encoding.LED_STATE,
    Encoding.CURSOR,
)

_LOST = (OSError, EOFError, ProtocolError, struct.error, TimeoutError)


class Client:
    """Pull, not push: one update at most comes that was not waited for, so nothing piles up.

    `update` asks and waits; the other methods send at once and never wait. All of them raise
    MonitorError when the connection is gone, which then is closed.
    """

    def __init__(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = Reader(stream)
        self._writer = writer
        self._asked = False
        self._whole = True
        self._last = (0, 0)

    @classmethod
    async def connect(cls, path: Path, *, encodings: tuple[Encoding, ...] = ENCODINGS) -> "Client":
        """Raises MonitorError where nobody answers as a VNC server does."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                stream, writer = await asyncio.open_unix_connection(str(path), limit=BUFFERED)
                client = cls(stream, writer)
                try:
                    await client._greet(encodings)
                except BaseException:
                    client.close()
                    raise
                return client
        except _LOST as error:
            raise _trouble(error) from error

    @property
    def open(self) -> bool:
        return not self._writer.is_closing()

    async def _greet(self, encodings: tuple[Encoding, ...]) -> None:
        read = self._reader
        if not re.fullmatch(rb"RFB 003\.0(0[89]|\d[1-9])\n", await read.exactly(12)):
            raise ProtocolError("no greeting of RFB 3.8")
        self._writer.write(wire.VERSION)
        (count,) = await read.values(">B")
        if wire.SECURITY_NONE not in await read.exactly(count):
            raise ProtocolError("it wants a password")
        self._writer.write(bytes([wire.SECURITY_NONE]))
        if (await read.values(">I"))[0]:
            raise ProtocolError("it refuses")
        self._writer.write(wire.SHARED)
        width, height, length = await read.values(">HH16xI")
        if length > LARGEST_TEXT:
            raise ProtocolError("a name without end")
        await read.exactly(length)
        read._work = width * height
        read.resize(width, height)
        self._writer.write(wire.set_pixel_format() + wire.set_encodings(encodings))

    # -- looking ------------------------------------------------------------

    @property
    def canvas(self) -> Canvas:
        """As it stands; another one after a change of size."""
        return self._reader.canvas

    @property
    def cursor(self) -> Cursor | None:
        return self._reader.cursor

    @property
    def absolute(self) -> bool:
        """Whether the guest's pointer goes to where it is told, as a tablet's does."""
        return self._reader.absolute

    @property
    def caps_lock(self) -> bool:
        return bool(self._reader.leds & 4)

    @property
    def resizable(self) -> bool:
        """Whether the guest's adapter can be asked for another size."""
        return self._reader.resizable

    async def update(self) -> list[Box]:
        """Wait until something has changed, and return what; the whole screen at first. Nothing
        where it is not the picture: the pointer, whether it is absolute, the locks.

        Cancelled while it waits, it goes on with the same question the next time; cancelled in
        the middle of a message, it closes the connection.
        """
        size = (self.canvas.width, self.canvas.height)
        while self._whole or not (self._reader.damage or self._reader.news):
            if not self._asked:
                self._send(wire.update_request(*size, whole=self._whole))
                self._asked = True
            await self._message()
            if (self.canvas.width, self.canvas.height) != size:
                size = (self.canvas.width, self.canvas.height)
                self._asked, self._whole = False, True
        damage, self._reader.damage, self._reader.news = self._reader.damage, [], False
        if not damage:
            return damage  # that was told without being asked for
        # The next one is asked for now: it comes while this one is being drawn.
        with contextlib.suppress(MonitorError):
            self._send(wire.update_request(*size, whole=False))
        return damage

    async def _message(self) -> None:
        read = self._reader
        try:
            (kind,) = await read.values(">B")
        except _LOST as error:
            self.close()
            raise _trouble(error) from error
        before = len(read.damage)
        done = False
        try:
            async with asyncio.timeout(MESSAGE_SECONDS):
                await read.message(kind)
            done = True
        except _LOST as error:
            raise _trouble(error) from error
        finally:
            if not done:
                self.close()
        if len(read.damage) > before:
            self._whole = False
        await asyncio.sleep(0)

    # -- acting -------------------------------------------------------------

    def key(self, code: int, *, down: bool) -> None:
        """Press or let go of a key, by its XT scancode."""
        self._send(wire.key(code, down=down))

    def pointer(self, x: int, y: int, buttons: int) -> None:
        """Move the pointer there, with these buttons down."""
        x = max(0, min(x, self.canvas.width - 1))
        y = max(0, min(y, self.canvas.height - 1))
        if self.absolute:
            self._send(wire.pointer(x, y, buttons))
        else:
            left, top = self._last
            self._send(wire.pointer(0x7FFF + x - left, 0x7FFF + y - top, buttons))
        self._last = (x, y)

    def ask_size(self, width: int, height: int) -> None:
        """Ask the guest for that size; one that follows answers with a change of size."""
        self._send(wire.set_desktop_size(width, height))

    def _send(self, message: bytes) -> None:
        if not self.open:
            raise _trouble(EOFError())
        if self._writer.transport.get_write_buffer_size() > UNSENT:
            self.close()
            raise _trouble(TimeoutError())
        self._writer.write(message)

    async def sent(self) -> None:
        """Wait until the server has been given all of it."""
        with contextlib.suppress(OSError):
            await self._writer.drain()

    def close(self) -> None:
        self._writer.close()


def _trouble(error: BaseException) -> MonitorError:
    what = str(error) if isinstance(error, ProtocolError) else ""
    if isinstance(error, TimeoutError):
        what = "it does not answer in time"
    elif not what:
        what = "the connection ended"
    return MonitorError(f"the guest's screen: {what}", hint="open it again", details=repr(error))

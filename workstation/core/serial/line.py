"""A machine's serial line: who may have it, and the way to it."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterator

from workstation.errors import BusyError, MonitorError
from workstation.paths import MachinePaths

CONNECT_SECONDS = 10.0

READ = 4096
"""Bytes that are taken from the guest at a time: between two of them the keyboard has its turn.
What we hold ourselves is in the way of a key's echo, so it is little."""

UNSENT = 1 << 20
"""Bytes typed or pasted that wait for the guest to read them; what exceeds them is dropped."""


@contextlib.contextmanager
def alone(paths: MachinePaths) -> Iterator[None]:
    """The serial line serves one console at a time; raises BusyError where it has another."""
    held = os.open(paths.serial_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BusyError(
            f"another console is open on “{paths.name}”", hint="leave that one first"
        ) from None
    finally:
        os.close(held)


class Line(asyncio.BufferedProtocol):
    """What the guest prints, READ bytes at a time; a piece more waits here at most.

    A stream of asyncio takes 256 KiB in one go, and all of it would be in the way of a key's echo.
    """

    def __init__(self) -> None:
        self._space = bytearray(READ)
        self._came = b""
        self._news = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None
        self._transport: asyncio.Transport | None = None

    async def read(self) -> bytes:
        """What came next; nothing when the line has ended. Raises ConnectionError if it broke."""
        await self._news.wait()
        came, self._came = self._came, b""
        if not self._ended:
            self._news.clear()
            if self._transport:
                self._transport.resume_reading()
        elif not came and self._error:
            raise self._error
        return came

    def write(self, data: bytes) -> bool:
        """Send it to the guest; False where it cannot be, or waits for too much already."""
        if self._ended or self._transport is None or self._transport.is_closing():
            return False
        if self._transport.get_write_buffer_size() >= UNSENT:
            return False
        self._transport.write(data)
        return True

    def close(self) -> None:
        """What was written is still sent."""
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()

    # -- called by asyncio --------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        self._came = bytes(memoryview(self._space)[:nbytes])
        self._news.set()
        if self._transport:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._error = True, exc
        self._news.set()


async def connected(paths: MachinePaths) -> Line:
    """Connect to it; raises MonitorError where QEMU does not answer."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            loop = asyncio.get_running_loop()
            return (await loop.create_unix_connection(Line, str(paths.serial)))[1]
    except (OSError, TimeoutError) as error:
        raise MonitorError(
            f"the serial line of “{paths.name}” does not answer",
            hint=f"workstation show {paths.name}",
            details=repr(error),
        ) from error

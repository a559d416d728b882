"""A machine's serial line: who may have it, and the way to it."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterator

from workstation.errors import BusyError, MonitorError
from workstation.paths import MachinePaths

CONNECT_SECONDS = 10.0

READ = 16_384
"""Bytes that are taken from the guest at a time: between two of them the keyboard has its turn."""

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
            f"another console is open on “{paths.name}”", hint="leave that one first: ctrl+]"
        ) from None
    finally:
        os.close(held)


async def connected(paths: MachinePaths) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to it; raises MonitorError where QEMU does not answer."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await asyncio.open_unix_connection(str(paths.serial), limit=READ)
    except (OSError, TimeoutError) as error:
        raise MonitorError(
            f"the serial line of “{paths.name}” does not answer",
            hint=f"workstation show {paths.name}",
            details=repr(error),
        ) from error

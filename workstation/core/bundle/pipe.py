"""The two ends of a pipe, or of a socket: whoever gives up never waits for the other side."""

import os
import select
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workstation.errors import WorkstationError

Told = Callable[[int], None]
"""Gets bytes that are done; may raise to end the work."""

_LOOK_MS = 200
"""How often it is asked whether the person still wants it."""


class Outlet:
    """The end that is written to."""

    def __init__(self, descriptor: int, most: int, told: Told) -> None:
        self._descriptor, self._most, self._told = descriptor, most, told

    def write(self, data: memoryview) -> int:
        """Some of the data; returns how much. Raises WorkstationError where nobody reads on."""
        _until(self._descriptor, select.POLLOUT, self._told)
        try:
            return os.write(self._descriptor, data[: self._most])
        except BlockingIOError:
            return 0
        except BrokenPipeError as error:
            raise WorkstationError(
                "the other end of the pipe has closed before all of the bundle was in it",
                hint="what reads there may have said why",
            ) from error


@contextmanager
def outlet(descriptor: int, told: Told) -> Iterator[Outlet]:
    """The way into whatever lies behind a descriptor.

    A write to a pipe that is nearly full would wait for its reader. So a pipe is opened a second
    time, not to wait: what was handed to us, others have too, and it stays as it is. What cannot
    be opened again gets no more at a time than it takes at once.
    """
    own = _again(descriptor)
    try:
        most = 2**20 if own is not None or _is_file(descriptor) else select.PIPE_BUF
        yield Outlet(descriptor if own is None else own, most, told)
    finally:
        if own is not None:
            os.close(own)


def _again(descriptor: int) -> int | None:
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return None
    try:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(f"/proc/self/fd/{descriptor}", flags)
    except OSError:  # it is another user's
        return None


def _is_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


class Intake:
    """The end that is read from, from its beginning to its end."""

    def __init__(self, descriptor: int, told: Told) -> None:
        self._descriptor, self._told = descriptor, told
        self.at = 0
        """Bytes that have come."""

    def take(self, size: int) -> bytearray:
        """Exactly that many bytes, or fewer at the end."""
        data = bytearray(size)
        view, done = memoryview(data), 0
        while done < size:
            _until(self._descriptor, select.POLLIN, self._told)
            got = os.readv(self._descriptor, [view[done:]])
            if not got:
                break
            done += got
        view.release()
        del data[done:]
        self.at += done
        return data


def _until(descriptor: int, event: int, told: Told) -> None:
    """Wait until it is ready, or broken; `told` may raise meanwhile."""
    poll = select.poll()
    poll.register(descriptor, event)
    while not poll.poll(_LOOK_MS):
        told(0)

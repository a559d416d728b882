"""A machine's lock: one operation at a time, and everybody can read whose it is.

The lock itself is a `flock` on the machine's lock file, so it ends with the process that holds it,
or with the start that it has begun (qemu/process.py), some milliseconds later. The file's content
only says who that is; a content whose process is gone says nothing.
"""

import fcntl
import json
import os
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from workstation.errors import BusyError, NotFoundError
from workstation.paths import MachinePaths
from workstation.qemu import procfs
from workstation.small import read_text


class MachineLock:
    """`with MachineLock(paths, "start", "workstation start"):`, or BusyError at once."""

    def __init__(self, paths: MachinePaths, verb: str, front_end: str) -> None:
        self._paths = paths
        self._verb = verb
        self._front_end = front_end
        self._descriptor = -1

    @property
    def descriptor(self) -> int:
        """Who has a copy of it, holds the lock too."""
        return self._descriptor

    def __enter__(self) -> Self:
        try:
            descriptor = os.open(self._paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise NotFoundError(
                f"there is no machine “{self._paths.name}”", hint="see: workstation list"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise self._busy() from None
        self._descriptor = descriptor
        own = procfs.own_id()
        said = {"verb": self._verb, "pid": own.pid, "start": own.start, "since": time.time()}
        self._say({**said, "front_end": self._front_end})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._say(None)
        os.close(self._descriptor)
        self._descriptor = -1

    def _say(self, holder: object) -> None:
        text = json.dumps(holder).encode()
        # Opened anew, so that closing it tells those who watch the file. Never cut to nothing:
        # ext4 writes a file that was to the disk when it is closed, and we would wait for that.
        # Nothing hangs on what it says: where the disk is full, it says nothing.
        with suppress(OSError):
            file = os.open(self._paths.lock, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(file, text, 0)
                os.ftruncate(file, len(text))
            finally:
                os.close(file)

    def _busy(self) -> BusyError:
        said = holding(self._paths)
        name = self._paths.name
        if not said:
            return BusyError(f"“{name}” is locked by another front-end", hint="try again")
        seconds = max(0, round(time.time() - said["since"]))
        return BusyError(
            f"“{said['front_end']}” (pid {said['pid']}) has been busy with “{name}” for"
            f" {seconds} s: {said['verb']}",
            hint="wait for it to end, or end that process",
        )


def left_behind(paths: MachinePaths) -> bool:
    """Whether it is held, and its holder is gone: a start goes on that will soon let go of it."""
    try:
        descriptor = os.open(paths.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holding(paths) is None
    finally:
        os.close(descriptor)
    return False


def holding(paths: MachinePaths) -> dict[str, Any] | None:
    """What the holder of the machine's lock said of itself; None for nobody."""
    try:
        said = json.loads(read_text(paths.lock))
        alive = procfs.alive(procfs.ProcessId(said["pid"], said["start"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(said) if alive else None

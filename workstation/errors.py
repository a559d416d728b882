"""The one tree of errors that the program raises on purpose.

    WorkstationError            1   anything below; never raised itself
    ├── UsageError              2   the call's words are off
    │   └── LockedError             an encrypted bundle, and nobody has given its passphrase
    ├── NotFoundError           3   no such machine, profile or image
    ├── BusyError               4   another front-end holds the machine's lock
    ├── InvalidError            5   a profile or machine file with problems
    ├── NotAllowedError         6   a verb that the machine's state does not allow
    ├── LaunchError             7   QEMU did not start
    ├── HostError               8   the host lacks something: QEMU, KVM, room
    ├── OvercommitError         9   would use more memory than the host has; may be forced
    ├── WaitTimeoutError       10   something awaited did not come
    ├── MonitorError           11   QEMU refused a command, or its monitor went away
    │   └── RefusedError            the guest's agent refused one
    └── CannotRunError        127   the guest cannot run that program, as shells say it

The number is the exit code of the command line.
Each error says what happened (`str(error)`), what to do next (`hint`) and, on demand,
the particulars (`details`, possibly many lines). All three may quote a guest or a
stranger's file: whoever prints them passes them through `workstation.model.text.safe`.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every command waits for this module, and a listing needs `typing` for nothing else.
    from typing import ClassVar


class WorkstationError(Exception):
    """Base of the tree; `what` is one sentence without a final full stop."""

    title: ClassVar[str] = "Something went wrong"
    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, hint: str = "", details: str = "") -> None:
        super().__init__(what)
        self.hint = hint
        self.details = details


class UsageError(WorkstationError):
    title = "That cannot be asked"
    exit_code = 2


class LockedError(UsageError):
    title = "A passphrase is needed"

    def __init__(self, what: str, *, bundle: str, hint: str) -> None:
        super().__init__(what, hint=hint)
        self.bundle = bundle
        """The bundle's path."""


class NotFoundError(WorkstationError):
    title = "Not found"
    exit_code = 3


class BusyError(WorkstationError):
    title = "The machine is busy"
    exit_code = 4


class InvalidError(WorkstationError):
    title = "The file has problems"
    exit_code = 5


class NotAllowedError(WorkstationError):
    title = "Not possible now"
    exit_code = 6


class LaunchError(WorkstationError):
    title = "QEMU did not start"
    exit_code = 7


class HostError(WorkstationError):
    title = "This computer lacks something"
    exit_code = 8


class OvercommitError(WorkstationError):
    title = "Not enough memory"
    exit_code = 9


class WaitTimeoutError(WorkstationError):
    title = "Waited in vain"
    exit_code = 10


class MonitorError(WorkstationError):
    title = "QEMU refused"
    exit_code = 11


class RefusedError(MonitorError):
    title = "The guest's agent refused"

    def __init__(self, what: str, *, reason: str, hint: str = "") -> None:
        super().__init__(f"{what}: {reason}", hint=hint)
        self.reason = reason
        """In the agent's words, a line."""


class CannotRunError(WorkstationError):
    title = "The guest cannot run that"
    exit_code = 127


_MAKE_ROOM = "make room on that disk, then do it again"

_HINTS = {
    errno.ENOSPC: _MAKE_ROOM,
    errno.EDQUOT: "your quota on that disk is used up: make room, then do it again",
    errno.EROFS: "that file system can only be read: XDG_DATA_HOME, XDG_CONFIG_HOME and"
    " XDG_CACHE_HOME move the program's files",
    errno.EACCES: "check whose it is: ls -ld shows owner and mode; XDG_* variables move the"
    " program's files",
    errno.EPERM: "check whose it is: ls -ld shows owner and mode",
    errno.EMFILE: "allow more open files: ulimit -n",
    errno.ENAMETOOLONG: "take a shorter name",
}


def of_the_host(error: OSError) -> HostError:
    """What the operating system refused, as one of our own."""
    what = error.strerror or str(error) or type(error).__name__
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return HostError(f"{place}{what[:1].lower()}{what[1:]}", hint=_HINTS.get(error.errno or 0, ""))


def room_hint(words: str, descriptor: int | None = None) -> str:
    """What to do where a program says in its words that the disk is full, or where the disk of
    that open file is so, whatever it says; empty otherwise."""
    full = any(os.strerror(one) in words for one in (errno.ENOSPC, errno.EDQUOT))
    return _MAKE_ROOM if full or (descriptor is not None and _is_full(descriptor)) else ""


def _is_full(descriptor: int) -> bool:
    try:
        disk = os.fstatvfs(descriptor)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _PAGE


_PAGE = 4096

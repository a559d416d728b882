"""The one tree of errors that the program raises on purpose.

    WorkstationError            1   anything below; never raised itself
    ├── UsageError              2   the call's words are off
    ├── NotFoundError           3   no such machine, profile or image
    ├── BusyError               4   another front-end holds the machine's lock
    ├── InvalidError            5   a profile or machine file with problems
    ├── NotAllowedError         6   a verb that the machine's state does not allow
    ├── LaunchError             7   QEMU did not start
    ├── HostError               8   the host lacks something: QEMU, KVM, room
    ├── OvercommitError         9   would use more memory than the host has; may be forced
    ├── WaitTimeoutError       10   something awaited did not come
    └── MonitorError           11   QEMU refused a command, or its monitor went away

The number is the exit code of the command line.
Each error says what happened (`str(error)`), what to do next (`hint`) and, on demand,
the particulars (`details`, possibly many lines). All three may quote a guest or a
stranger's file: whoever prints them passes them through `workstation.model.text.safe`.
"""

from __future__ import annotations

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

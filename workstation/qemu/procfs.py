"""Processes as /proc shows them: who they are, and whether they still run.

Imported by `workstation list`: quick modules only.
"""

from typing import NamedTuple

from workstation.paths import MachinePaths
from workstation.small import read_text


class ProcessId(NamedTuple):
    """A process, named so that no later one is taken for it."""

    pid: int
    start: int
    """Start time in clock ticks since boot: field 22 of /proc/PID/stat (proc(5))."""


class Pair(NamedTuple):
    """The two processes of a running machine."""

    witness: ProcessId
    qemu: ProcessId


def own_id() -> ProcessId:
    """This very process."""
    return _parse_stat(read_text("/proc/self/stat"))[0]


def _parse_stat(line: str) -> tuple[ProcessId, str]:
    """The identity and the one-letter state of a line of /proc/PID/stat."""
    # The command's name stands in brackets and may itself hold brackets and spaces.
    head, _, tail = line.rpartition(")")
    fields = tail.split()
    return ProcessId(int(head.split(" ", 1)[0]), int(fields[19])), fields[0]


def alive(process: ProcessId) -> bool:
    """Whether that very process still runs; a zombie does not."""
    try:
        found, state = _parse_stat(read_text(f"/proc/{process.pid}/stat"))
    except (OSError, ValueError, IndexError):
        return False
    return found == process and state not in "ZX"


def read_pair(paths: MachinePaths) -> Pair | None:
    """What the witness wrote; None where it has written nothing whole."""
    try:
        own, child = read_text(paths.process).splitlines()
        return Pair(_parse_stat(own)[0], _parse_stat(child)[0])
    except (OSError, ValueError, IndexError):
        return None


def read_exit(paths: MachinePaths) -> int | None:
    """QEMU's exit status as a shell gives it (128 + signal); None where it is not known."""
    try:
        return int(read_text(paths.exit))
    except (OSError, ValueError):
        return None

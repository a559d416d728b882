"""What a machine's files and its QEMU's own word make of its state: the one place that decides.

Imported by `workstation list`: quick modules only, so states are the plain words of
`workstation.model.machine.State`.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from workstation.core.inplace import links
from workstation.core.machine import lock, run
from workstation.paths import MachinePaths
from workstation.qemu.procfs import Pair, alive, read_pair
from workstation.small import read_text

_BY_STATUS = {
    "running": "running",
    "prelaunch": "starting",
    "inmigrate": "starting",
    "shutdown": "stopping",
}
"""What `query-status` says (QAPI RunState); everything else is a kind of pause."""

IO_ERROR = "io-error"

_PAUSE_REASONS = {
    "guest-panicked": "the guest's system crashed (kernel panic)",
    IO_ERROR: "a disk could not be written or read: is the host's disk full?",
    "internal-error": "QEMU met an error inside the virtual machine",
    "suspended": "the guest went to sleep",
    "watchdog": "the guest's watchdog fired",
}


class Condition(NamedTuple):
    state: str
    reason: str
    since: float
    """Seconds since the epoch: when QEMU was started, or when it ended; 0 if never."""
    holder: dict[str, Any] | None
    """What the holder of the lock says of itself."""
    record: run.Record | None
    """The run's record, while QEMU runs."""
    pair: Pair | None
    """The processes, while QEMU runs."""


def live_pair(paths: MachinePaths) -> Pair | None:
    """The processes of the machine, until QEMU has ended and its witness has said how."""
    pair = read_pair(paths)
    return pair if pair and (alive(pair.qemu) or alive(pair.witness)) else None


def condition(paths: MachinePaths, *, status: str = "", trouble: str = "") -> Condition:
    """Where the machine is in its life.

    `status` is QEMU's run state where somebody asked; without it a live machine counts as
    running, for the reason `trouble` if the question found no answer.
    """
    holder = lock.holding(paths)
    verb = holder["verb"] if holder else ""
    record = run.read(paths)
    pair = live_pair(paths) if record and record.boot_id == run.boot_id() else None
    if record and pair:
        state, reason = _live(verb, status, trouble)
        if status == IO_ERROR:
            reason = links.away(paths) or reason
        return Condition(state, reason, record.started, holder, record, pair)
    if verb == "start":
        return Condition("starting", "", 0.0, holder, None, None)
    if _frozen(paths):
        return Condition("frozen", "", _since(paths.history), holder, None, None)
    if not record:
        return Condition("created", "", 0.0, holder, None, None)
    ending = run.explain(paths, record)
    state = "off" if ending.clean else "crashed"
    return Condition(state, ending.reason, ending.time, holder, None, None)


def _frozen(paths: MachinePaths) -> bool:
    """Whether the next start goes on from a memory (`History` in model/layer.py)."""
    try:
        return bool(json.loads(read_text(paths.history))["head"]["resume"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _since(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _live(verb: str, status: str, trouble: str) -> tuple[str, str]:
    if verb == "stop":
        return "stopping", ""
    if not status:
        return "starting" if verb == "start" else "running", trouble
    if status in _STILL and verb in _PASSING:
        return _PASSING[verb], ""
    return _BY_STATUS.get(status, "paused"), _PAUSE_REASONS.get(status, "")


_STILL = ("paused", "finish-migrate", "postmigrate", "inmigrate")
_PASSING = {"snapshot": "running", "start": "starting", "suspend": "stopping"}
"""What a guest that stands still for milliseconds counts as, while its lock is held for that."""

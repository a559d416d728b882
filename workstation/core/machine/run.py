"""The record of a machine's last run, and what it says of the machine now.

Three files tell all (paths.py): `run.json` is written before QEMU is started, `process` by the
witness when it is, `exit` by the witness when it has ended. So a front-end may be killed at any
moment, and the next one still knows. Imported by `workstation list`: quick modules only.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from workstation.core import atomic
from workstation.paths import MachinePaths
from workstation.qemu import procfs
from workstation.small import read_text


class Record(NamedTuple):
    """How QEMU was started last."""

    boot_id: str
    """Which boot of the host it belongs to."""
    started: float
    """Seconds since the epoch."""
    uuid: str
    accelerator: str
    accelerator_reason: str
    qemu_version: str
    forwards: list[list[str]]
    """Per network, the forwards in force, as the profile writes them."""
    argv: list[str]
    profile: dict[str, Any] | None = None
    """The hardware that the guest has: as it was started, and with what was plugged in since."""
    ended_by: str = ""
    """Who was about to end it by force; such an end is no crash."""


class Ending(NamedTuple):
    """How the last run came to its end."""

    clean: bool
    reason: str
    time: float
    """Seconds since the epoch."""


@cache
def boot_id() -> str:
    """A value that is new at every boot of the host (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read(paths: MachinePaths) -> Record | None:
    """The last run's record; None where there was none, or its file is not readable."""
    try:
        return Record(**json.loads(read_text(paths.run)))
    except (OSError, ValueError, TypeError):
        return None


def write(paths: MachinePaths, record: Record, *, lasting: bool = True) -> None:
    """Without `lasting` it is there at once, and survives a power cut from `sync` on."""
    atomic.write(paths.run, json.dumps(record._asdict()), lasting=lasting)


def sync(paths: MachinePaths) -> None:
    """Make the record last, as long as the disk takes for that."""
    atomic.sync(paths.run)


def clear(paths: MachinePaths) -> None:
    """Forget who ran last and how that ended, before the next record is written."""
    for file in (paths.process, paths.exit):
        file.unlink(missing_ok=True)


def explain(paths: MachinePaths, record: Record) -> Ending:
    """How the run ended; call it only where its processes are known to be gone."""
    status = procfs.read_exit(paths)
    time = _ended_at(paths, record)
    if status == 0:
        return Ending(True, "", time)
    if status is None and not paths.process.exists():
        return Ending(True, "its last start was interrupted", time)
    if record.ended_by:
        return Ending(True, f"ended by {record.ended_by}", time)
    if status is None and record.boot_id != boot_id():
        return Ending(False, "the computer went down while it ran", time)
    if status is None:
        return Ending(False, "QEMU is gone and left no exit status", time)
    return Ending(False, _status_words(status), time)


def _ended_at(paths: MachinePaths, record: Record) -> float:
    try:
        return paths.exit.stat().st_mtime
    except OSError:
        return record.started


def _status_words(status: int) -> str:
    if status <= 128:
        return f"QEMU ended with exit code {status}"
    import signal

    number = status - 128
    try:
        return f"QEMU was ended by {signal.Signals(number).name}"
    except ValueError:
        return f"QEMU was ended by signal {number}"

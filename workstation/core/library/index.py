"""What is known of each machine from one listing to the next, so that only news is read again.

Imported by `workstation list`: no module that loads `typing` or `pathlib`. What has changed
since the last time costs the full loader.
"""

from __future__ import annotations

import json
import os
import time

from workstation.core.library import names
from workstation.roots import MACHINE_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from workstation.paths import Paths

    Summary = dict[str, Any]
    """`cpus`, `memory` (bytes), `based_on`, `description`, `tags`, `uuid`, `problem`."""
    Rest = dict[str, Any]
    """`state`, `reason`, `since`, `snapshots`, `golden`: of a machine without a QEMU."""
    Stamp = list[int]

_FORMAT = 3

_RACY = 10**9
"""Nanoseconds: a file that changed so short a time ago may change again under the same stamp."""


class Index:
    """Every machine's summary, sorted by name, and the state of those that are at rest.

    A start makes files anew, so a state at rest holds while the machine's directory stays as it
    was. (Who holds the lock is written in place; that is no part of a state at rest.)
    """

    def __init__(self, machines: str, file: str) -> None:
        self._machines = machines
        self._file = file
        self._known = _read(file)
        self._entries: dict[str, dict[str, Any]] = {}
        self._at_rest: dict[str, Stamp] = {}
        for name in names.below(machines):
            entry = self._known.get(name)
            stamp = _stamp(f"{machines}/{name}/{MACHINE_FILE}")
            if entry is None or entry["stamp"] != stamp:
                entry = {"stamp": stamp, "summary": _summarize(f"{machines}/{name}")}
            self._entries[name] = entry

    @property
    def summaries(self) -> dict[str, Summary]:
        return {name: entry["summary"] for name, entry in self._entries.items()}

    def at_rest(self, name: str) -> Rest | None:
        """Its state, if it was at rest and still is; else None, and then it is to be asked."""
        stamp = self._at_rest[name] = _stamp(f"{self._machines}/{name}")
        entry = self._entries[name]
        rest: Rest = entry.get("rest", {})
        # A version of the program before there were snapshots wrote less.
        if entry.get("state_stamp") == stamp and "golden" in rest:
            return rest
        return None

    def keep(self, name: str, rest: Rest) -> None:
        """Remember the state that was found after `at_rest` had answered None."""
        stamp = self._at_rest[name]
        if stamp and time.time_ns() - stamp[0] > _RACY:
            self._entries[name] = self._entries[name] | {"state_stamp": stamp, "rest": rest}

    def save(self) -> None:
        if self._entries != self._known:
            _write(self._file, self._entries)


def summaries(paths: Paths) -> dict[str, Summary]:
    """Every machine's summary by name, sorted by name."""
    index = Index(str(paths.machines), str(paths.index))
    index.save()
    return index.summaries


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116 (the hot path)
    except OSError:
        return []
    return [status.st_mtime_ns, status.st_ino, status.st_size]


def _summarize(directory: str) -> Summary:
    from pathlib import Path

    from workstation.errors import WorkstationError
    from workstation.profile.load import load_definition

    try:
        definition = load_definition(Path(directory, MACHINE_FILE))
    except WorkstationError as error:
        return {"cpus": None, "memory": None, "based_on": "", "description": "", "tags": [],
                "uuid": "", "problem": error.details or str(error)}  # fmt: skip
    profile = definition.profile
    return {
        "cpus": profile.cpu.count,
        "memory": profile.memory,
        "based_on": definition.based_on,
        "description": profile.description,
        "tags": list(profile.tags),
        "uuid": str(definition.uuid),
        "problem": "",
    }


def _read(file: str) -> dict[str, Any]:
    try:
        with open(file, encoding="utf-8") as text:  # noqa: PTH123
            known = json.load(text)
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(known, dict) or known.get("format") != _FORMAT:
        return {}
    machines: dict[str, Any] = known["machines"]
    return machines


def _write(file: str, entries: dict[str, Any]) -> None:
    from contextlib import suppress
    from pathlib import Path

    from workstation.core import atomic

    # A cache: a listing works without it, if not as fast.
    with suppress(OSError):
        Path(file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic.write(
            Path(file), json.dumps({"format": _FORMAT, "machines": entries}), lasting=False
        )

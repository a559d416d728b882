"""What a listing says of each machine's file, kept so that only changed files are read again.

Imported by `workstation list`: quick modules only; a changed file costs the full loader.
"""

import json
import os
from typing import Any

from workstation.core import names
from workstation.paths import Paths

Summary = dict[str, Any]
"""`cpus`, `memory` (bytes), `based_on`, `description`, `tags`, `uuid`, `problem`."""


def summaries(paths: Paths) -> dict[str, Summary]:
    """Every machine's summary by name, sorted by name."""
    known = _read(paths)
    fresh: dict[str, Any] = {}
    for name in names.names(paths):
        stamp = _stamp(paths, name)
        entry = known.get(name)
        unchanged = entry is not None and entry["stamp"] == stamp
        fresh[name] = entry if unchanged else {"stamp": stamp, "summary": _summarize(paths, name)}
    if fresh != known:
        _write(paths, fresh)
    return {name: entry["summary"] for name, entry in fresh.items()}


def _stamp(paths: Paths, name: str) -> list[int]:
    try:
        status = os.stat(f"{paths.machines}/{name}/machine.yaml")  # noqa: PTH116 (the hot path)
    except OSError:
        return []
    return [status.st_mtime_ns, status.st_ino, status.st_size]


def _summarize(paths: Paths, name: str) -> Summary:
    from workstation.errors import WorkstationError
    from workstation.profile.load import load_definition

    try:
        definition = load_definition(paths.machine(name).file)
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


def _read(paths: Paths) -> dict[str, Any]:
    try:
        known = json.loads(paths.index.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(paths: Paths, entries: dict[str, Any]) -> None:
    from contextlib import suppress

    from workstation.core import atomic

    # A cache: a listing works without it, if not as fast.
    with suppress(OSError):
        paths.index.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic.write(paths.index, json.dumps(entries))

"""Every machine and its state, from as little work as that takes.

Imported by `workstation list`: no module that loads `typing` or `pathlib` before it must.
"""

from __future__ import annotations

from workstation.core.library.index import Index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from workstation.core.machine.condition import Condition
    from workstation.roots import Roots

    Row = dict[str, Any]
    """`name`, `state`, `reason`, `since`, `snapshots` (how many), `golden`, and what
    `index.Summary` has."""


def rows(roots: Roots) -> list[Row]:
    """Sorted by name. Only machines that have changed, or run, are really looked at."""
    index = Index(roots.machines, roots.index)
    summaries = index.summaries
    states = {name: index.at_rest(name) for name in summaries}
    unknown = [name for name, state in states.items() if state is None]
    if unknown:
        uuids = {name: summaries[name]["uuid"] for name in unknown}
        for name, found in _conditions(roots, uuids).items():
            states[name] = {
                "state": found.state, "reason": found.reason, "since": found.since,
                **_names(f"{roots.machines}/{name}/history.json"),
            }  # fmt: skip
            if found.pair is None and found.holder is None:
                index.keep(name, states[name] or {})
    index.save()
    return [{"name": name, **(states[name] or {}), **summaries[name]} for name in summaries]


def _names(history: str) -> Row:
    """How many snapshots, and which is golden (`History` in model/layer.py)."""
    import json

    try:
        with open(history, encoding="utf-8") as text:  # noqa: PTH123
            known = json.load(text)
        return {"snapshots": len(known["snapshots"]), "golden": str(known["golden"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"snapshots": 0, "golden": ""}


def _conditions(roots: Roots, uuids: dict[str, str]) -> dict[str, Condition]:
    from workstation.core.machine.condition import condition
    from workstation.paths import Paths

    paths = Paths.at(roots)
    found = {name: condition(paths.machine(name)) for name in uuids}
    for name, status in _ask(paths, uuids, (name for name in found if found[name].pair)).items():
        found[name] = condition(paths.machine(name), status=status)
    return found


def _ask(paths: Any, uuids: dict[str, str], live: Iterable[str]) -> dict[str, str]:
    asked = {name: uuids[name] for name in live}
    if not asked:
        return {}
    from workstation.core.machine.status import ask_all

    return ask_all(paths, asked)

"""`workstation list`: every machine and its state, from as little work as that takes."""

import json
from typing import TYPE_CHECKING, Any

from workstation.cli.table import table
from workstation.core import index
from workstation.core.condition import condition
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call

Row = dict[str, Any]


def show(call: "Call") -> None:
    """Print the table, or JSON."""
    paths = Paths.from_environment()
    rows = [
        row
        for row in _rows(paths, index.summaries(paths))
        if not call.tag or call.tag in row["tags"]
    ]
    if call.json:
        print(json.dumps(rows, indent=2))
    elif rows:
        print(table(("NAME", "STATE", "CPUS", "MEMORY", "PROFILE", "NOTE"), map(_cells, rows)))
    else:
        print("No machines yet. Make the demo: workstation demo")


def _rows(paths: Paths, summaries: dict[str, index.Summary]) -> list[Row]:
    conditions = {name: condition(paths.machine(name)) for name in summaries}
    live = [name for name, found in conditions.items() if found.pair]
    if live:
        from workstation.core.status import ask_all

        uuids = {name: summaries[name]["uuid"] for name in live}
        for name, status in ask_all(paths, uuids).items():
            conditions[name] = condition(paths.machine(name), status=status)
    return [
        {
            "name": name,
            "state": conditions[name].state,
            "reason": conditions[name].reason,
            "since": conditions[name].since,
            **summary,
        }
        for name, summary in summaries.items()
    ]


def _cells(row: Row) -> tuple[str, ...]:
    memory = f"{row['memory'] // 2**20} MiB" if row["memory"] else "?"
    note = "its file has problems: workstation show" if row["problem"] else row["reason"]
    return row["name"], row["state"], str(row["cpus"] or "?"), memory, row["based_on"], note

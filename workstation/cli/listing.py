"""`workstation list`: every machine and its state."""

from __future__ import annotations

import json

from workstation.cli.table import table
from workstation.core.library import overview
from workstation.model.units import exact_size
from workstation.roots import Roots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from workstation.cli.parser import Call


def show(call: Call) -> None:
    """Print the table, or JSON."""
    rows = [row for row in overview.rows(Roots()) if not call.tag or call.tag in row["tags"]]
    if call.json:
        print(json.dumps(rows, indent=2))
    elif rows:
        heads = ("NAME", "STATE", "CPUS", "MEMORY", "SNAPSHOTS", "PROFILE", "NOTE")
        print(table(heads, map(_cells, rows)))
    elif call.tag:
        print(f"No machine carries the tag “{_safe(call.tag)}”.")
    else:
        print("No machines yet. Make the demo: workstation demo")


def _cells(row: overview.Row) -> tuple[str, ...]:
    memory = exact_size(row["memory"]) if row["memory"] else "?"
    note = f"its file has problems: workstation show {row['name']}"
    return (
        row["name"],
        row["state"],
        str(row["cpus"] or "?"),
        memory,
        f"{row['snapshots'] or '-'}{' ◆ golden' if row['golden'] else ''}",
        _safe(row["based_on"]),
        note if row["problem"] else _safe(row["reason"]),
    )


def _safe(text: str) -> str:
    if text.isprintable():
        return text
    from workstation.model.text import safe_line

    return safe_line(text)

"""`workstation history`: a machine's layers as a tree, the newest first."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from workstation.cli.station import station
from workstation.cli.table import table
from workstation.model.layer import Entry
from workstation.model.text import safe_line
from workstation.model.units import format_size

if TYPE_CHECKING:
    from workstation.cli.parser import Call

HEAD, GOLDEN, LAYER = "●", "◆", "○"

_NOW = "now"
"""The head, as the tree's topmost node; no layer has that id."""


class Node(NamedTuple):
    """A node of the tree."""

    id: str
    parent: str | None
    glyph: str


@dataclass(frozen=True, slots=True)
class _Found:
    entries: list[Entry]
    written: int
    state: str


def history(call: "Call") -> None:
    """The tree, or all of it as JSON."""

    async def act() -> _Found:
        async with station("history", call.name, line=True) as found:
            await found.settled(call.name)
            entries = await asyncio.to_thread(found.layers.history, call.name)
            written = found.layers.written(call.name)
            return _Found(entries, written, found.view(call.name).state)

    found = asyncio.run(act())
    if call.json:
        layers = [entry_data(entry) for entry in found.entries]
        head = {"state": found.state, "written": found.written}
        print(json.dumps({"name": call.name, "head": head, "layers": layers}, indent=2))
    else:
        print(_text(found))


def entry_data(entry: Entry) -> dict[str, Any]:
    """An entry as JSON has it."""
    return {
        "layer": entry.layer,
        "parent": entry.parent,
        "tags": list(entry.tags),
        "created": entry.created.isoformat(),
        "note": entry.note,
        "own": entry.own,
        "shared": entry.shared,
        "memory": entry.memory,
        "picture": str(entry.picture) if entry.picture else None,
        "golden": entry.golden,
        "head": entry.head,
    }


def cells(entry: Entry) -> tuple[str, str, str, str, str]:
    """Names (else the id's beginning), time, size, what it holds, note: as the tables have them."""
    marks = ("golden" if entry.golden else "", "shared" if entry.shared else "")
    held = ("memory" if entry.memory else "disks", *filter(None, marks))
    return (
        ", ".join(entry.tags) or entry.layer[:8],
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.created.timestamp())),
        format_size(entry.own),
        ", ".join(held),
        safe_line(entry.note),
    )


def _text(found: _Found) -> str:
    rows = {entry.layer: cells(entry) for entry in found.entries}
    rows[_NOW] = (_NOW, "", format_size(found.written), found.state, "written since")
    below = next((entry.layer for entry in found.entries if entry.head), None)
    nodes = [Node(_NOW, below, HEAD), *_newest_first(found.entries)]
    lines = [(drawing, *rows.get(node, ("",) * 5)) for drawing, node in drawn(nodes)]
    return table(("", "SNAPSHOT", "TAKEN", "SIZE", "HOLDS", "NOTE"), lines)


def _newest_first(entries: Sequence[Entry]) -> Iterator[Node]:
    """Every layer after all that stand on it; of several the newest."""
    waiting = {entry.layer: entry for entry in entries}
    while waiting:
        covered = {entry.parent for entry in waiting.values()}
        tips = [entry for entry in waiting.values() if entry.layer not in covered]
        newest = max(tips, key=lambda entry: (entry.created, entry.layer))
        del waiting[newest.layer]
        yield Node(newest.layer, newest.parent, GOLDEN if newest.golden else LAYER)


# -- drawing --------------------------------------------------------------------


def drawn(nodes: Sequence[Node]) -> Iterator[tuple[str, str]]:
    """Lines of the tree, each with its node's id; empty where branches only join.

    `nodes` come with all that stand on them before them.
    """
    columns: list[str | None] = []
    for node in nodes:
        mine = [number for number, wanted in enumerate(columns) if wanted == node.id]
        if len(mine) > 1:
            yield _joined(columns, mine), ""
        for number in mine[1:]:
            columns[number] = None
        column = mine[0] if mine else _free(columns)
        columns[column] = node.id
        yield _line(columns, column, node.glyph), node.id
        columns[column] = node.parent


def _free(columns: list[str | None]) -> int:
    if None not in columns:
        columns.append(None)
    return columns.index(None)


def _line(columns: Sequence[str | None], column: int, glyph: str) -> str:
    marks = [glyph if n == column else "│" if wanted else " " for n, wanted in enumerate(columns)]
    return " ".join(marks).rstrip()


def _joined(columns: Sequence[str | None], mine: Sequence[int]) -> str:
    """`├─┴─╯`: the columns of `mine` become its first one; lines between them are crossed."""
    first, last = mine[0], mine[-1]
    marks = []
    for number, wanted in enumerate(columns):
        mark = "│" if wanted else " "
        if first < number < last:
            mark = "┴" if number in mine else "┼" if wanted else "─"
        elif number in (first, last):
            mark = "├" if number == first else "╯"
        marks.append(mark + ("─" if first <= number < last else " "))
    return "".join(marks).rstrip()

"""A machine's layers as the screens show them: read at one moment, drawn as a tree or in a line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from workstation.errors import WorkstationError

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.layer import Entry

IMAGES = "images"
"""The note of the layer that a new machine's drives start as."""


@dataclass(frozen=True, slots=True)
class Past:
    """What a machine's history held when it was read."""

    entries: tuple[Entry, ...] = ()
    """The oldest first."""
    written: int = 0
    """Bytes written since the last snapshot."""
    trouble: str = ""
    """Why it cannot be read."""

    @property
    def tags(self) -> tuple[str, ...]:
        """The machine's names for layers."""
        return tuple(tag for entry in self.entries for tag in entry.tags)

    @property
    def below(self) -> list[Entry]:
        """What the machine stands on, from the bottom to the top."""
        known = {entry.layer: entry for entry in self.entries}
        found: list[Entry] = []
        at = next((entry for entry in self.entries if entry.head), None)
        while at and at not in found:
            found.append(at)
            at = known.get(at.parent) if at.parent else None
        return found[::-1]


def read_past(station: Workstation, name: str) -> Past:
    """Read it from the disk: call it in a thread."""
    try:
        return Past(tuple(station.layers.history(name)), station.layers.written(name))
    except WorkstationError as error:
        return Past(trouble=str(error))
    except OSError as error:  # a layer that another program has just deleted
        return Past(trouble=f"its history cannot be read: {error.strerror}")


def free_tag(wanted: str, past: Past) -> str:
    """`snap-1`, or with the first number that makes it free."""
    number = 1
    while f"{wanted}-{number}" in past.tags:
        number += 1
    return f"{wanted}-{number}"


def title_of(entry: Entry) -> str:
    """Its names; for a layer without one what it is."""
    if entry.tags:
        return ", ".join(entry.tags)
    if entry.parent is None and entry.note == IMAGES:
        return "image"
    return entry.note or "unnamed"


def glyph_of(entry: Entry) -> tuple[str, str]:
    """Its sign, and the style of that."""
    return ("◆", "$text-warning") if entry.golden else ("○", "$text-muted")


def age(moment: datetime, now: float) -> str:
    """`5 min`, `2 h`, `3 d`; from a hundred days on the date."""
    seconds = max(0.0, now - moment.timestamp())
    for length, unit, limit in ((60, "min", 120), (3600, "h", 48), (86_400, "d", 100)):
        if seconds < length * limit:
            return f"{seconds // length:.0f} {unit}"
    return f"{moment.astimezone():%Y-%m-%d}"


def ago(moment: datetime, now: float) -> str:
    """The same as one says it: `2 h ago`, `just now`."""
    text = age(moment, now)
    return "just now" if text == "0 min" else text if "-" in text else f"{text} ago"


# -- the tree -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the tree."""

    lines: str
    """What is drawn to the left of the sign: the branches that pass by."""
    entry: Entry | None = None
    """None: the machine as it is now."""
    above: int = 0
    """Where a branch begins here: how many rows it has above this one."""
    folded: bool = False
    """Those are left out."""


def tree(past: Past, turned: Collection[str] = ()) -> list[Row]:
    """The newest on top; the branch that the machine is on, or the newest one, straight up.

    Of the other branches that with the newest layer is open, and the rest is folded; for those
    that begin at a layer whose id is `turned` it is the other way round.

    ● now
    │ ○ tried-nginx
    ├─○ before-nginx
    ◆ golden
    ○ image
    """
    known = {entry.layer for entry in past.entries}
    above: dict[str | None, list[Entry]] = {}
    for entry in past.entries:
        above.setdefault(entry.parent if entry.parent in known else None, []).append(entry)
    trunk = {entry.layer for entry in past.below}
    shape = _Shape(above, trunk, _below(past.entries[-1:], past.entries) ^ set(turned))
    rows = [] if trunk else [Row("")]
    for root in sorted(above.get(None, ()), key=lambda entry: _rank(entry, trunk), reverse=True):
        rows += _grown(root, shape, "")
    return rows


class _Shape(NamedTuple):
    """What a tree looks like."""

    above: dict[str | None, list[Entry]]
    """What stands right on each layer."""
    trunk: set[str]
    """What the machine stands on."""
    open: set[str]
    """Where the open branches begin, among others."""


def _below(tops: Iterable[Entry], entries: Sequence[Entry]) -> set[str]:
    """Those layers, and what they stand on."""
    known = {entry.layer: entry for entry in entries}
    found: set[str] = set()
    for top in tops:
        at: Entry | None = top
        while at and at.layer not in found:
            found.add(at.layer)
            at = known.get(at.parent) if at.parent else None
    return found


def _grown(root: Entry, shape: _Shape, lines: str) -> list[Row]:
    """The rows of a layer and all that stands on it, from the top to the bottom."""
    above, trunk = shape.above, shape.trunk
    stem = [root]
    while on := above.get(stem[-1].layer):
        if stem[-1].head:
            break  # what goes straight up is the machine itself
        stem.append(max(on, key=lambda entry: _rank(entry, trunk)))
    rows: list[Row] = []
    for number, layer in reversed(list(enumerate(stem))):
        if layer.head:
            rows.append(Row(lines))
        straight = stem[number + 1 : number + 2]
        sides = [entry for entry in above.get(layer.layer, ()) if entry not in straight]
        for side in sorted(sides, key=lambda entry: entry.created, reverse=True):
            branch = _grown(side, shape, f"{lines}│ ")[:-1]
            folded = bool(branch) and side.layer not in shape.open
            rows += [] if folded else branch
            rows.append(Row(f"{lines}├─", side, len(branch), folded))
        rows.append(Row(lines, layer))
    return rows


def _rank(entry: Entry, trunk: set[str]) -> tuple[bool, datetime]:
    return entry.layer in trunk, entry.created


# -- what goes with a name --------------------------------------------------------


def freed_without(past: Past, tag: str) -> int:
    """Bytes that come back when the machine gives up that name: of layers that nothing else
    stands on."""
    needed = (one for one in past.entries if one.head or set(one.tags) - {tag})
    kept = _below(needed, past.entries)
    return sum(entry.own for entry in past.entries if entry.layer not in kept and not entry.shared)


def standing_on(past: Past, entry: Entry) -> list[str]:
    """What stands right on a layer, in words."""
    found = [title_of(other) for other in past.entries if other.parent == entry.layer]
    if entry.head:
        found.append("the machine as it is now")
    if entry.shared:
        found.append("another machine")
    return found


def listed(names: list[str]) -> str:
    """The first few of them."""
    more = f" and {len(names) - 3} more" if len(names) > 4 else ""
    return ", ".join(names[:3] if more else names) + more

"""The layers of a machine as a tree of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.strip import Strip
from textual.style import Style

from workstation.model.text import safe_line
from workstation.model.units import format_size
from workstation.ui.past import Past, Row, ago, glyph_of, title_of, tree
from workstation.ui.widgets.lines import between, strip_of
from workstation.ui.widgets.rows import Rows

if TYPE_CHECKING:
    from workstation.model.layer import Entry


NAMED = 12
"""Cells of a row that are the tree's and the name's, however narrow it is."""


class LayerList(Rows):
    """The cursor stays on its layer when others come and go."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: Sequence[Row] = ()
        self._past = Past()
        self._now = 0.0
        self.turned: frozenset[str] = frozenset()
        """Where branches begin that are not as they are by themselves: open or folded."""

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self._rows[self.cursor] if self._rows else None

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def entry(self) -> Entry | None:
        """The layer under the cursor; None where that is the machine as it is now."""
        return self.row.entry if self.row else None

    def fill(self, past: Past, now: float) -> None:
        """Show these layers, with their ages at `now` (seconds since the epoch)."""
        first, old = not self._rows, self.entry
        self._past, self._now, self._rows = past, now, tree(past, self.turned)
        self.cursor = self._row_of(old.layer) if old else 0
        if first:  # what one comes here for is rarely what is there already
            self.cursor = next(
                (n for n, row in enumerate(self._rows) if row.entry and row.entry.tags), 0
            )
        self.arranged()
        self.post_message(self.Moved())

    def turn(self) -> None:
        """Unfold the branch that begins under the cursor, or fold it."""
        if self.entry:
            self.turned ^= {self.entry.layer}
            self.fill(self._past, self._now)

    def _row_of(self, layer: str) -> int:
        there = [row.entry.layer if row.entry else "" for row in self._rows]
        return there.index(layer) if layer in there else min(self.cursor, len(there) - 1)

    def paint(self, row: int, base: Style, mark: str) -> Strip:
        shown, width = self._rows[row], self.size.width
        left = Content.assemble((mark, "$primary"), (shown.lines, "$text-muted"))
        if shown.entry is None:
            left += Content.assemble(("●", "$text-success"), (" now", "bold"))
            right = Content.styled(_written(self._past.written), "$text-muted")
        else:
            left += _name(shown.entry) + _branch(shown)
            right = _figures(shown.entry, self._now, width - NAMED)
        return strip_of(between(left, right, width), width, base)


def _written(written: int) -> str:
    return f"{format_size(written)} not in a snapshot " if written else "nothing new "


def _name(entry: Entry) -> Content:
    name = safe_line(title_of(entry), limit=60)
    note = f"  {safe_line(entry.note, limit=80)}" if entry.note and entry.tags else ""
    return Content.assemble(
        glyph_of(entry), (f" {name}", "" if entry.tags else "$text-muted"), (note, "$text-muted")
    )


def _branch(row: Row) -> Content:
    if not row.above:
        return Content()
    return Content.styled(f"  ▸ {row.above} more" if row.folded else "  ▾", "$text-muted")


def _figures(entry: Entry, now: float, room: int) -> Content:
    """What it holds, how large and how old it is; in a narrow pane the first of these."""
    memory = Content.assemble("  ", ("❄ ", "$text-primary") if entry.memory else "  ")
    size = memory + Content(f"{format_size(entry.own):>9}")
    full = Content.assemble(size, (f"  {ago(entry.created, now):>10} ", "$text-muted"))
    fitting = (told for told in (full, size + Content(" ")) if told.cell_length <= room)
    return next(fitting, memory)

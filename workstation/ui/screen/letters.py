"""A guest's text screen as text: a cell of the guest is a cell of the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

if TYPE_CHECKING:
    from workstation.core.screen.glyphs import Cell, TextScreen
    from workstation.core.screen.look import Canvas

Shown = Sequence["Cell | None"]


class Letters:
    """A pane of that many columns and rows; where the guest has more, it follows the cursor."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.strips: list[Strip] = [Strip.blank(columns)] * rows
        self._lines: list[tuple[Cell | None, ...]] = []
        self._first = (0, 0)
        self._margin = (0, 0)

    def draw(self, text: TextScreen) -> list[int]:
        """Draw what has been read; the rows that are different."""
        self._place(text)
        left, top = self._first
        x, y = self._margin
        lines = [tuple(row[left : left + self.columns]) for row in text.rows]
        shown = [()] * y + lines[top : top + self.rows - y]
        shown += [()] * (self.rows - len(shown))
        before = self._lines
        changed = [row for row in range(self.rows) if not before or shown[row] != before[row]]
        for row in changed:
            self.strips[row] = _strip(shown[row], x, self.columns)
        self._lines = shown
        return changed

    def _place(self, text: TextScreen) -> None:
        """In the middle where there is room, else so that the cursor can be seen."""
        guest = (len(text.rows[0]), len(text.rows))
        cursor = _cursor(text.rows)
        pane = (self.columns, self.rows)
        firsts, margins = [], []
        for axis in range(2):
            at = cursor[axis] if cursor else self._first[axis]
            margins.append(max(0, (pane[axis] - guest[axis]) // 2))
            firsts.append(_scrolled(self._first[axis], at, pane[axis], guest[axis]))
        self._first, self._margin = (firsts[0], firsts[1]), (margins[0], margins[1])

    def to_guest(self, x: float, y: float, text: TextScreen, canvas: Canvas) -> tuple[int, int]:
        """The guest's pixel under a place in the pane, in cells."""
        cell = (canvas.width / len(text.rows[0]), canvas.height / len(text.rows))
        places = zip((x, y), self._margin, self._first, cell, strict=True)
        across, down = (int((at - margin + first) * size) for at, margin, first, size in places)
        return across, down

    def clear(self) -> None:
        self._lines = []


def _scrolled(first: int, at: int, pane: int, guest: int) -> int:
    """The first cell that is shown: as it was, or as near as lets `at` be seen."""
    lowest, highest = max(0, at - pane + 1), at
    return min(max(0, guest - pane), max(lowest, min(first, highest)))


def _cursor(rows: Sequence[Shown]) -> tuple[int, int] | None:
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            if cell and cell.underlined:
                return x, y
    return None


def _strip(cells: Shown, left: int, width: int) -> Strip:
    strip = Strip([Segment(" " * left), *_segments(cells)] if cells else [])
    return strip.adjust_cell_length(width)


def _segments(cells: Shown) -> Iterator[Segment]:
    for look, same in groupby(cells, key=lambda cell: cell and cell[1:]):
        if look is None:
            yield Segment("▒" * len(list(same)))
        else:
            yield Segment("".join(cell.char for cell in same if cell), _style(*look))


@lru_cache(maxsize=4096)
def _style(front: tuple[int, int, int], back: tuple[int, int, int], underlined: bool) -> Style:
    if underlined:
        # A cursor: as a terminal shows its own.
        front, back = back, front if front != back else (170, 170, 170)
    return Style(color=Color.from_rgb(*front), bgcolor=Color.from_rgb(*back))

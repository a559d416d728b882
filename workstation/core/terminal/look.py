"""What a terminal has shown, held still: to scroll, search and mark in while it goes on."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bittty.style import Style
from bittty.terminals.scrollback import ScrollbackLine, rows_of
from bittty.video import Cell

from workstation.core.terminal.emulator import Emulator

_BLANK: Cell = (Style(), " ")


class Place(NamedTuple):
    """A cell; ordered as text is read."""

    row: int
    column: int


class Span(NamedTuple):
    """From a cell to a later one, both of it."""

    first: Place
    last: Place

    def on(self, row: int, columns: int) -> tuple[int, int] | None:
        """Its first column on the row, and the one after its last; None where it is not there."""
        if not self.first.row <= row <= self.last.row:
            return None
        start = self.first.column if row == self.first.row else 0
        end = self.last.column + 1 if row == self.last.row else columns
        return start, end


class _Row(NamedTuple):
    line: int
    start: int
    """The cell of its line with which it begins."""


class Look:
    """All lines that an emulator had when this was made; `top` is the first row in view."""

    def __init__(self, emulator: Emulator) -> None:
        self.columns, self.height = emulator.columns, emulator.rows
        store = emulator.history
        self._lines = [store.line(number) for number in range(store.first, store.end)]
        page = emulator.port.page
        shown = [page.line(y) for y in range(page.height)]
        self._lines += [ScrollbackLine.of(row.cells, True, row.attribute) for row in shown]
        self._rows = [row for line in range(len(self._lines)) for row in self._rows_of(line)]
        self.top = self.bottom
        self.marked: Span | None = None
        self.found: Span | None = None

    def _rows_of(self, line: int) -> Iterator[_Row]:
        held = self._lines[line]
        step = max(1, self.columns // held.scale)
        for number in range(rows_of(held.width, self.columns)):
            yield _Row(line, number * step)

    # -- moving -------------------------------------------------------------

    @property
    def bottom(self) -> int:
        """The largest `top`."""
        return max(0, len(self._rows) - self.height)

    @property
    def below(self) -> int:
        """Rows that lie below the view."""
        return self.bottom - self.top

    def scroll(self, rows: int) -> None:
        self.top = min(self.bottom, max(0, self.top + rows))

    def show(self, row: int) -> None:
        """Bring the row into view."""
        if not self.top <= row < self.top + self.height:
            self.top = min(self.bottom, max(0, row - self.height // 2))

    def rows(self) -> list[Sequence[Cell]]:
        """The cells in view, top to bottom, each row of full width."""
        shown: list[Sequence[Cell]] = []
        shown += [self._cells(row) for row in self._rows[self.top : self.top + self.height]]
        return shown + [[_BLANK] * self.columns] * (self.height - len(shown))

    def _cells(self, row: _Row) -> list[Cell]:
        cells = self._lines[row.line].cells(row.start, row.start + self.columns)
        return cells + [_BLANK] * (self.columns - len(cells))

    # -- searching ----------------------------------------------------------

    def find(self, text: str, *, older: bool = True) -> bool:
        """Mark and show the next place of the text, from the last one found or the view's end on.

        Upper and lower case are alike, unless the text has an upper-case letter.
        """
        if not text:
            return False
        order = range(len(self._lines) - 1, -1, -1) if older else range(len(self._lines))
        at = self._place_in_line(self.found.first) if self.found else None
        for line in order:
            column = self._match(line, text, at, older)
            if column is not None:
                self._mark_found(line, column, len(text))
                return True
        return False

    def _match(self, line: int, text: str, at: tuple[int, int] | None, older: bool) -> int | None:
        """The index of the match in the line's text that comes next after `at`."""
        if at and (line > at[0] if older else line < at[0]):
            return None
        said = self._lines[line].text
        if text == text.lower():
            said = said.lower()
        here = at[1] if at and line == at[0] else None
        if older:
            end = len(said) if here is None else here + len(text) - 1
            found = said.rfind(text, 0, end)
        else:
            found = said.find(text, 0 if here is None else here + 1)
        return found if found >= 0 else None

    def _mark_found(self, line: int, index: int, length: int) -> None:
        held = self._lines[line]
        first, last = _cell_of(held, index), _cell_of(held, index + length - 1)
        self.found = Span(self._place(line, first), self._place(line, last))
        self.show(self.found.first.row)

    def _place(self, line: int, cell: int) -> Place:
        low, high = 0, len(self._rows) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._rows[middle] <= (line, cell):
                low = middle
            else:
                high = middle - 1
        return Place(low, (cell - self._rows[low].start) * self._lines[line].scale)

    def _place_in_line(self, place: Place) -> tuple[int, int]:
        row = self._rows[place.row]
        held = self._lines[row.line]
        cell = row.start + place.column // held.scale
        return row.line, sum(held.shape[:cell]) if held.shape else cell

    # -- marking ------------------------------------------------------------

    def mark(self, one: Place, other: Place) -> None:
        """Mark from one cell to the other, whichever comes first."""
        first, last = sorted((self._within(one), self._within(other)))
        self.marked = Span(first, last)

    def _within(self, place: Place) -> Place:
        row = min(max(0, place.row), len(self._rows) - 1)
        return Place(row, min(max(0, place.column), self.columns - 1))

    def text(self) -> str:
        """What is marked, without the blanks at the ends of lines; lines that only the width broke
        are whole."""
        return self._text_of(self.marked) if self.marked else ""

    def visible_text(self) -> str:
        last = min(self.top + self.height, len(self._rows)) - 1
        return self._text_of(Span(Place(self.top, 0), Place(last, self.columns - 1)))

    def _text_of(self, span: Span) -> str:
        said: list[str] = []
        for number in range(span.first.row, span.last.row + 1):
            row = self._rows[number]
            ends = span.on(number, self.columns) or (0, 0)
            start, end = ends
            held = self._lines[row.line]
            piece = _text_between(
                held, row.start + start // held.scale, row.start + -(-end // held.scale)
            )
            if row.start and said:
                said[-1] += piece
            else:
                said.append(piece)
        return "\n".join(line.rstrip() for line in said).rstrip("\n")


def _cell_of(line: ScrollbackLine, index: int) -> int:
    """The cell in which the character with that index of the line's text lies."""
    if line.shape is None:
        return index
    passed = 0
    for cell, length in enumerate(line.shape):
        passed += length
        if passed > index:
            return cell
    return len(line.shape)


def _text_between(line: ScrollbackLine, start: int, end: int) -> str:
    if line.shape is None:
        return line.text[start:end]
    first = sum(line.shape[:start])
    return line.text[first : first + sum(line.shape[start:end])]

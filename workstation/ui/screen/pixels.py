"""A guest's screen in the terminal's own pixels.

The picture is cut into bands of whole rows of cells, so that only what changed is sent again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from workstation.ui.screen.scaled import Scaled, smooth
from workstation.ui.screen.window import Window, window

if TYPE_CHECKING:
    from PIL.Image import Image

    from workstation.core.screen.look import Box, Canvas

SLICE = 0.03
"""Seconds after which the rest of a picture waits, so that keys are not kept waiting by it."""

MARGIN = 2
"""Pixels around one that its value is made of, at most."""


class Cell(NamedTuple):
    """How large a cell is, in pixels."""

    width: int = 10
    height: int = 20
    """As a VT340's, where the terminal does not tell."""


class Pane(NamedTuple):
    """A part of the terminal, in cells from its top left corner."""

    left: int
    top: int
    columns: int
    rows: int


class Pixels(ABC):
    """The pictures of one pane."""

    name: ClassVar[str]
    """For the status line."""
    stays: ClassVar[bool]
    """Whether it is still there when its cells are written."""

    def __init__(self, cell: Cell, band: int) -> None:
        """`band` is how many rows of cells a band has."""
        self.cell, self.band = cell, band
        self.window: Window | None = None
        self._scaled = Scaled(smooth, MARGIN)
        self._bands: dict[int, bytes] = {}
        """What was sent of each."""
        self.unfinished = False
        """Whether `draw` is to be called once more for what is shown now."""
        self._due: set[int] = set()
        """The bands that may be others than what was sent of them."""
        self._next = 0
        self._place = Pane(0, 0, 0, 0)
        self._size = (0, 0)

    def draw(
        self,
        canvas: Canvas,
        pane: Pane,
        zoom: float,
        centre: tuple[float, float],
        damage: Sequence[Box] | None = None,
    ) -> str:
        """What to write so that it is shown; `damage` is what has changed since the last time,
        everything where it is not given.

        What would take longer than SLICE is left for the next call: see `unfinished`.
        """
        shown = self._window_of(canvas, pane, zoom, centre)
        columns = -(-shown.width // self.cell.width)
        rows = -(-shown.height // self.cell.height)
        x, y = shown.x // self.cell.width, shown.y // self.cell.height
        place = Pane(pane.left + x, pane.top + y, columns, rows)
        written = ""
        if (place, shown.size) != (self._place, self._size):
            written = self.erased()
            self._bands.clear()
            self._due.clear()
        self.window, self._place, self._size = shown, place, shown.size
        areas = self._scaled.draw(canvas, shown, [canvas.box] if damage is None else damage)
        height = self.band * self.cell.height
        self._due.update(
            number for area in areas for number in range(area[1] // height, -(-area[3] // height))
        )
        return written + "".join(self._changed())

    def _window_of(
        self, canvas: Canvas, pane: Pane, zoom: float, centre: tuple[float, float]
    ) -> Window:
        """The picture begins with a cell."""
        cell = self.cell
        size = (pane.columns * cell.width, pane.rows * cell.height)
        shown = window((canvas.width, canvas.height), size, zoom, centre)
        x, y = shown.x // cell.width * cell.width, shown.y // cell.height * cell.height
        return replace(shown, x=x, y=y)

    def _changed(self) -> Iterator[str]:
        """Band by band, from where the last call has stopped; at least one that is due."""
        assert self._scaled.image
        place, end = self._place, monotonic() + SLICE
        count = -(-place.rows // self.band)
        self.unfinished = some = False
        for number in ((self._next + step) % count for step in range(count)):
            if number in self._bands and number not in self._due:
                continue
            if some and monotonic() > end:
                self.unfinished, self._next = True, number
                return
            some = True
            self._due.discard(number)
            first = number * self.band
            rows = min(self.band, place.rows - first)
            # What is below or beside the picture is black.
            band = self._scaled.image.crop((
                0,
                first * self.cell.height,
                place.columns * self.cell.width,
                (first + rows) * self.cell.height,
            ))  # fmt: skip
            data = band.tobytes()
            if data != self._bands.get(number):
                self._bands[number] = data
                where = f"\x1b[{place.top + first + 1};{place.left + 1}H"
                yield f"\x1b7{where}{self.sent(number, band, place.columns, rows)}\x1b8"
        self._next = 0

    @abstractmethod
    def sent(self, number: int, band: Image, columns: int, rows: int) -> str:
        """What to write so that a band is shown where the cursor is, on that many cells."""

    @abstractmethod
    def erased(self) -> str:
        """What to write so that nothing of it is left, and only cells are seen."""

    def clear(self) -> str:
        """What to write before other cells are shown in its place; all is sent the next time."""
        gone = self.erased() if self.stays else ""
        self._bands.clear()
        self._due.clear()
        self.unfinished = False
        return gone

    def painted_over(self, rows: range) -> bool:
        """These rows of the terminal's cells were written; whether that has hidden anything."""
        return False

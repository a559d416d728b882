"""A guest's screen as half blocks; what has not changed is not drawn again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.strip import Strip

from workstation.ui.blocks import RGB, BlockStrip
from workstation.ui.screen.scaled import Scaled
from workstation.ui.screen.window import Window, window

if TYPE_CHECKING:
    from workstation.core.screen.look import Box, Canvas

KEPT_BITS = bytes(value & 0xFC | value >> 6 for value in range(256))
"""Colours are rounded to 6 bits: fewer differ from their neighbours, so less is written."""


class Halves:
    """A pane of that many columns and rows."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.strips: list[Strip] = [Strip.blank(columns)] * rows
        self._scaled = Scaled()
        self._lines: list[bytes] = [b""] * rows

    def place(self, canvas: Canvas, zoom: float, centre: tuple[float, float]) -> Window:
        """The window for that wish."""
        pane = (self.columns, 2 * self.rows)
        return window((canvas.width, canvas.height), pane, zoom, centre)

    def draw(self, canvas: Canvas, shown: Window, damage: Iterable[Box]) -> list[int]:
        """Draw what was damaged, or everything in another window; the rows that are different."""
        self._scaled.draw(canvas, shown, damage)
        return self._changed(shown)

    def _changed(self, shown: Window) -> list[int]:
        """Make the strips anew whose pixels are others."""
        assert self._scaled.image
        data, line = self._scaled.image.tobytes().translate(KEPT_BITS), shown.width * RGB
        changed = []
        for row in range(self.rows):
            y = 2 * row - shown.y
            pair = data[max(0, y * line) : (y + 2) * line] if y >= 0 else b""
            if pair != self._lines[row] or self.strips[row].cell_length != self.columns:
                self._lines[row] = pair
                self.strips[row] = self._strip(pair, shown)
                changed.append(row)
        return changed

    def _strip(self, pair: bytes, shown: Window) -> Strip:
        line = shown.width * RGB
        if not pair:
            return Strip.blank(self.columns)
        right = self.columns - shown.x - shown.width
        return BlockStrip(pair[:line], pair[line:].ljust(line, b"\0"), shown.x, right)

    def clear(self) -> None:
        """Everything is drawn the next time."""
        self._scaled.clear()
        self._lines = [b"\1"] * self.rows

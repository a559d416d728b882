"""A guest's screen on a pane of cells: as text where it is text, else in pixels or half blocks."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING

from textual.strip import Strip

from workstation.ui.screen.halves import Halves
from workstation.ui.screen.letters import Letters
from workstation.ui.screen.pixels import Pane, Pixels
from workstation.ui.screen.pointer import Pointer
from workstation.ui.screen.window import Window

if TYPE_CHECKING:
    from workstation.core.screen.look import Box, Look

MOST_DUE = 64
"""Boxes that wait to be drawn in pixels; where there are more, everything is."""

LOOK_AGAIN = 0.5
"""Seconds between two looks whether a picture has become text."""


class Drawing:
    """Keeps a strip for each row, and says which of them are different after a frame."""

    def __init__(self) -> None:
        self.zoom = 0.0
        self.centre = (0.0, 0.0)
        """Pixel of the guest that is to be in the middle."""
        self.as_text = True
        """Whether a text screen is shown as text."""
        self.reading = False
        """Whether it is shown so now."""
        self.pixels: Pixels | None = None
        """Draws pictures where the terminal has graphics."""
        self.window: Window | None = None
        """What is shown of a picture."""
        self.look_later = False
        """Whether `draw` is to be called again after LOOK_AGAIN, even if nothing happens."""
        self._next_look = 0.0
        self._pointer = Pointer()
        self._due: list[Box] | None = None
        """What is to be drawn in pixels; None for everything."""
        self._halves, self._letters = Halves(1, 1), Letters(1, 1)

    @property
    def strips(self) -> Sequence[Strip]:
        if self.pixels and not self.reading:
            return ()  # the cells below the pixels are blank
        return self._letters.strips if self.reading else self._halves.strips

    def draw(
        self, look: Look, size: tuple[int, int], damage: Sequence[Box] | None = None
    ) -> list[int]:
        """Draw what has changed, everything where no damage is given; the rows that are others."""
        canvas = look.canvas
        if canvas is None or not all(size):
            return []
        if (self._halves.columns, self._halves.rows) != size:
            self._halves, self._letters, damage = Halves(*size), Letters(*size), None
        whole = damage is None
        reading = self._read(look, [canvas.box] if damage is None else damage, at_once=whole)
        if whole or reading != self.reading:
            self.reading, damage = reading, None
            self.clear()
        if reading:
            return self._letters.draw(look.text)
        if self.pixels:
            self._put_off(damage)
            return list(range(size[1])) if damage is None else []
        self.window = self._halves.place(canvas, self.zoom, self.centre)
        with self._pointer.on(look) as moved:
            boxes = [canvas.box] if damage is None else [*damage, *moved]
            return self._halves.draw(canvas, self.window, boxes)

    def _put_off(self, damage: Sequence[Box] | None) -> None:
        """Pixels are drawn after the cells."""
        if damage is None or self._due is None or len(self._due) + len(damage) > MOST_DUE:
            self._due = None
        else:
            self._due += damage

    def _read(self, look: Look, damage: Sequence[Box], *, at_once: bool) -> bool:
        """Read the canvas where it may be text; whether it is."""
        self.look_later = False
        if not self.as_text or self.zoom or look.canvas is None:
            return False
        if not self.reading:
            # What is a picture is read only now and then, but then once more when all is still.
            if not at_once and monotonic() < self._next_look:
                self.look_later = True
                return False
            self._next_look = monotonic() + LOOK_AGAIN
            damage = [look.canvas.box]
        look.text.read(look.canvas, damage)
        return look.text.is_text

    def clear(self) -> None:
        """Everything is different the next time."""
        self._halves.clear()
        self._letters.clear()

    def to_guest(self, look: Look, x: float, y: float) -> tuple[int, int] | None:
        """The guest's pixel under a place in the pane, in cells."""
        if look.canvas is None:
            return None
        if self.reading:
            return self._letters.to_guest(x, y, look.text, look.canvas)
        if self.pixels and self.pixels.window:
            cell = self.pixels.cell
            return self.pixels.window.to_guest(x * cell.width, y * cell.height)
        return self.window.to_guest(x, 2 * y) if self.window else None  # two pixels a cell

    def graphics(self, look: Look, pane: Pane) -> str:
        """What to write for a terminal with graphics."""
        if self.pixels is None:
            return ""
        if self.reading or look.canvas is None:
            self._due = None
            return self.pixels.clear()
        due, self._due = self._due, []
        with self._pointer.on(look) as moved:
            damage = None if due is None else [*due, *moved]
            written = self.pixels.draw(look.canvas, pane, self.zoom, self.centre, damage)
        self.window = self.pixels.window
        return written

    def take_graphics_away(self) -> str:
        """What to write; all is drawn the next time."""
        self._due = None
        return self.pixels.clear() if self.pixels else ""

    def pan(self, across: float, down: float) -> None:
        """By shares of what is shown, to the right and down."""
        if self.window and self.zoom:
            width, height = (side / self.window.scale for side in self.window.size)
            left, top = self.window.left, self.window.top
            self.centre = (left + width * (0.5 + across), top + height * (0.5 + down))

"""A guest's screen as half blocks; what has not changed is not drawn again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.strip import Strip

from workstation.ui.blocks import RGB, BlockStrip
from workstation.ui.picture import in_light
from workstation.ui.screen.window import Window, window

if TYPE_CHECKING:
    from PIL.Image import Image

    from workstation.core.screen.look import Box, Canvas

KEPT_BITS = bytes(value & 0xFC | value >> 6 for value in range(256))
"""Colours are rounded to 6 bits: fewer differ from their neighbours, so less is written."""


class Halves:
    """A pane of that many columns and rows."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.strips: list[Strip] = [Strip.blank(columns)] * rows
        self._small: Image | None = None
        self._window: Window | None = None
        self._lines: list[bytes] = [b""] * rows

    def place(self, canvas: Canvas, zoom: float, centre: tuple[float, float]) -> Window:
        """The window for that wish."""
        pane = (self.columns, 2 * self.rows)
        return window((canvas.width, canvas.height), pane, zoom, centre)

    def draw(self, canvas: Canvas, shown: Window, damage: Iterable[Box]) -> list[int]:
        """Draw what was damaged, or everything in another window; the rows that are different."""
        from PIL import Image

        if shown != self._window or self._small is None:
            self._window, damage = shown, [canvas.box]
            self._small = Image.new("RGB", (shown.width, shown.height))
        picture = canvas.image()
        for box in _apart([shown.to_pane(one) for one in damage]):
            left, top, right, bottom = box
            if left < right and top < bottom:
                part = _part(picture, shown.source(box), (right - left, bottom - top))
                self._small.paste(part, (left, top))
        return self._changed(shown)

    def _changed(self, shown: Window) -> list[int]:
        """Make the strips anew whose pixels are others."""
        assert self._small
        data, line = self._small.tobytes().translate(KEPT_BITS), shown.width * RGB
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
        self._window = None
        self._lines = [b"\1"] * self.rows


def _part(
    picture: Image, source: tuple[float, float, float, float], size: tuple[int, int]
) -> Image:
    """Cut out first: only what is needed goes through the averaging of light."""
    left, top = int(source[0]), int(source[1])
    right, bottom = (
        min(picture.width, -int(-source[2] // 1)),
        min(picture.height, -int(-source[3] // 1)),
    )
    cut = picture.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    box = (
        source[0] - left,
        source[1] - top,
        min(source[2] - left, cut.width),
        min(source[3] - top, cut.height),
    )
    return in_light(cut, size, box)


def _apart(boxes: Iterable[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """The same boxes, each once; where they are many, the one around all of them."""
    found = list(dict.fromkeys(boxes))
    if len(found) <= 16:
        return found
    lefts, tops, rights, bottoms = zip(*found, strict=True)
    return [(min(lefts), min(tops), max(rights), max(bottoms))]

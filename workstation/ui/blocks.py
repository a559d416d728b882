"""Pictures as half blocks: each cell shows two pixels, `▀` in the upper one's colour on the lower
one's.

The lines are written out as the terminal takes them: made of Rich's segments, a picture that
changes costs ten times as much.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.color import Color, ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

if TYPE_CHECKING:
    from PIL.Image import Image

RGB = 3
"""Bytes a pixel."""
MOST_COLOURS = 1 << 16
"""So many colours' escape sequences are kept."""

_fronts: dict[bytes, str] = {}
_backs: dict[bytes, str] = {}


class BlockStrip(Strip):
    """A line of half blocks from two lines of pixels; its segments are made only if asked for."""

    __slots__ = ("_lower", "_made", "_pads", "_upper")

    def __init__(self, upper: bytes, lower: bytes, left: int = 0, right: int = 0) -> None:
        """`left` and `right` cells beside it are blank."""
        self._upper, self._lower, self._pads = upper, lower, (left, right)
        self._made: list[Segment] | None = None
        super().__init__((), left + len(upper) // RGB + right)

    @property
    def _segments(self) -> list[Segment]:
        if self._made is None:
            left, right = self._pads
            blocks = _as_segments(self._upper, self._lower)
            self._made = [Segment(" " * left), *blocks, Segment(" " * right)]
        return self._made

    @_segments.setter
    def _segments(self, made: list[Segment]) -> None:
        """The base has nothing to give."""

    def render(self, console: Console) -> str:
        if console._color_system not in (None, ColorSystem.TRUECOLOR):
            return super().render(console)
        if self._render_cache is None:
            left, right = self._pads
            blocks = _as_text(self._upper, self._lower)
            self._render_cache = f"{' ' * left}{blocks}{' ' * right}"
        return self._render_cache


def _as_text(upper: bytes, lower: bytes) -> str:
    written: list[str] = []
    front_before = back_before = b""
    for at in range(0, len(upper), RGB):
        front, back = upper[at : at + RGB], lower[at : at + RGB]
        if back != back_before:
            new = "" if front == front_before else f"{_front(front)};"
            written.append(f"\x1b[{new}{_back(back)}m")
        elif front != front_before:
            written.append(f"\x1b[{_front(front)}m")
        front_before, back_before = front, back
        written.append("▀")
    return f"{''.join(written)}\x1b[0m" if written else ""


def _front(colour: bytes) -> str:
    found = _fronts.get(colour)
    if found is None:
        if len(_fronts) >= MOST_COLOURS:
            _fronts.clear()
        red, green, blue = colour
        found = _fronts[colour] = f"38;2;{red};{green};{blue}"
    return found


def _back(colour: bytes) -> str:
    found = _backs.get(colour)
    if found is None:
        if len(_backs) >= MOST_COLOURS:
            _backs.clear()
        red, green, blue = colour
        found = _backs[colour] = f"48;2;{red};{green};{blue}"
    return found


def _as_segments(upper: bytes, lower: bytes) -> Iterable[Segment]:
    cells = [
        (tuple(upper[at : at + RGB]), tuple(lower[at : at + RGB]))
        for at in range(0, len(upper), RGB)
    ]
    start = 0
    for end in range(1, len(cells) + 1):
        if end == len(cells) or cells[end] != cells[start]:
            front, back = (Color.from_rgb(*pixel) for pixel in cells[start])
            yield Segment("▀" * (end - start), Style(color=front, bgcolor=back))
            start = end


def strips_of(image: Image, columns: int) -> list[Strip]:
    """An RGB image, two lines of pixels a cell, in the middle of that many columns."""
    line = image.width * RGB
    data = image.tobytes() + bytes(line)  # an odd last line stands on black
    left = (columns - image.width) // 2
    right = columns - image.width - left
    return [
        BlockStrip(data[at : at + line], data[at + line : at + 2 * line], left, right)
        for at in range(0, image.height * line, 2 * line)
    ]

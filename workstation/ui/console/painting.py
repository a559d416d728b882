"""Rows of an emulated terminal's cells as strips. Nothing but text and styles leaves here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bittty.style import Color as CellColor
from bittty.style import Style as CellStyle
from bittty.video import Cell
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from workstation.model.text import safe

FOREGROUND, BACKGROUND = (216, 216, 216), (16, 16, 20)
"""What a guest that sets no colour is shown in, whatever the theme: programs count on it."""

_MOST_MARKS = 8
"""Characters of one cell that are shown: a base and its combining marks."""

RGB = tuple[int, int, int]

Overlay = tuple[int, int, Style]
"""Columns from, up to, and what they look like on top."""


class Painter:
    """Turns cells into strips; styles are made once."""

    def __init__(self, colors: Sequence[RGB]) -> None:
        self._colors = colors
        self._styles: dict[tuple[CellStyle, bool], Style] = {}

    def recolor(self, colors: Sequence[RGB]) -> None:
        """The guest has changed its palette."""
        self._colors = colors
        self._styles.clear()

    def strip(
        self, cells: Sequence[Cell], overlays: Sequence[Overlay] = (), *, reverse: bool = False
    ) -> Strip:
        """One row, of as many columns as it has cells."""
        cuts = sorted({edge for start, end, _ in overlays for edge in (start, end)})
        segments = []
        for start, end, style in self._runs(cells, cuts, reverse):
            look = style
            for first, last, over in overlays:
                if first <= start < last:
                    look = look + over
            text = _text(cells[start:end])
            if text:
                segments.append(Segment(text, look))
        return Strip(segments, len(cells))

    def _runs(
        self, cells: Sequence[Cell], cuts: Sequence[int], reverse: bool
    ) -> Iterator[tuple[int, int, Style]]:
        """Neighbours of one style, cut where an overlay begins or ends."""
        start, count = 0, len(cells)
        edges = iter((*cuts, count))
        edge = next(edges)
        while start < count:
            while edge <= start:
                edge = next(edges)
            style = cells[start][0]
            end = start + 1
            while end < edge and (cells[end][0] is style or cells[end][0] == style):
                end += 1
            yield start, end, self._style(style, reverse)
            start = end

    def _style(self, style: CellStyle, reverse: bool) -> Style:
        known = self._styles.get((style, reverse))
        if known is None:
            if len(self._styles) > 4096:
                self._styles.clear()
            known = self._styles[style, reverse] = self._made(style, reverse)
        return known

    def _made(self, style: CellStyle, reverse: bool) -> Style:
        front = self._rgb(style.fg, FOREGROUND)
        back = self._rgb(style.bg, BACKGROUND)
        if bool(style.reverse) is not reverse:
            front, back = back, front
        if style.conceal:
            front = back
        return Style(
            color=Color.from_rgb(*front),
            bgcolor=Color.from_rgb(*back),
            bold=style.bold,
            dim=style.dim,
            italic=style.italic,
            underline=style.underline,
            strike=style.strike,
            overline=style.overline,
        )

    def _rgb(self, color: CellColor | None, default: RGB) -> RGB:
        if color is None or color.value is None:
            return default
        if isinstance(color.value, tuple):
            return color.value
        return self._colors[color.value]


_HARMLESS = re.compile("[ -~\xa1-\xac\xae-\u02ff\u2500-\u259f]*")
"""Text that is one column a character, and nothing else."""


def _text(cells: Sequence[Cell]) -> str:
    text = "".join([char for _, char in cells])
    return text if _HARMLESS.fullmatch(text) else "".join(map(_safe, cells))


def _safe(cell: Cell) -> str:
    """A cell's text: of a cluster, what of it is unsafe is left out, to keep the columns."""
    char = cell[1]
    shown = safe(char[:_MOST_MARKS])
    if len(char) > 1:
        return shown[0] + shown[1:].replace("\ufffd", "")
    return shown.replace("\t", "\ufffd").replace("\n", "\ufffd")

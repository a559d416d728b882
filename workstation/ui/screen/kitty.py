"""A guest's screen by the kitty graphics protocol: true pixels in the terminal.

https://sw.kovidgoyal.net/kitty/graphics-protocol/ says what is sent. The picture is cut into
bands of whole rows of cells, an image each, so that only what changed is sent again.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from workstation.ui.screen.window import Window, window

if TYPE_CHECKING:
    from workstation.core.screen.look import Canvas

QUESTION = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t"
"""Whether there are graphics, and how large a cell is."""
SECONDS = 1.0
"""How long an answer is waited for: over a network it takes a while."""
CHUNK = 4096
"""Bytes of base64 in a piece."""
BAND = 2
"""Rows of cells in an image."""
FIRST_ID = 7_000
"""Of our images; another program's have other numbers, we hope, and ours are deleted."""
CELL = (10, 20)
"""Pixels of a cell where the terminal does not tell."""


class Cell(NamedTuple):
    """How large a cell is, in pixels."""

    width: int
    height: int


def answered(answers: Iterable[str]) -> Cell | None:
    """What the terminal's answers say: a cell's size where it has graphics, else None."""
    has, cell = False, Cell(*CELL)
    for answer in answers:
        has = has or answer == "i=31;OK"
        if answer.startswith("6;"):
            height, width = map(int, answer[2:-1].split(";"))
            if 0 < width <= 200 and 0 < height <= 400:
                cell = Cell(width, height)
    return cell if has else None


class Pixels:
    """The images of one pane."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.window: Window | None = None
        self._bands: dict[int, bytes] = {}
        self._place: tuple[int, ...] = ()

    def draw(
        self,
        canvas: Canvas,
        pane: tuple[int, int, int, int],
        zoom: float,
        centre: tuple[float, float],
    ) -> str:
        """What to write so that it is shown; the pane in cells: left, top, columns and rows."""
        left, top, columns, rows = pane
        size = (columns * self.cell.width, rows * self.cell.height)
        shown = window((canvas.width, canvas.height), size, zoom, centre)
        # The picture begins with a cell.
        x, y = shown.x // self.cell.width, shown.y // self.cell.height
        shown = replace(shown, x=x * self.cell.width, y=y * self.cell.height)
        wide = -(-shown.width // self.cell.width)
        written = ""
        if (place := (left + x, top + y, *shown.size)) != self._place:
            written = self.clear()
        self.window, self._place = shown, place
        return written + "".join(self._changed(canvas, shown, (left + x, top + y, wide)))

    def _changed(self, canvas: Canvas, shown: Window, place: tuple[int, int, int]) -> Iterator[str]:
        from PIL import Image

        left, top, columns = place
        width, height = columns * self.cell.width, BAND * self.cell.height
        first_x, first_y, end_x, end_y = shown.source((0, 0, *shown.size))
        source = (first_x, first_y, min(end_x, canvas.width), min(end_y, canvas.height))
        picture = canvas.image().resize(shown.size, Image.Resampling.BILINEAR, source, 2.0)
        picture = picture.convert("RGB")
        for number in range(-(-shown.height // height)):
            # What is below or beside the picture is black.
            band = picture.crop((0, number * height, width, (number + 1) * height)).tobytes()
            if band != self._bands.get(number):
                self._bands[number] = band
                where = f"\x1b[{top + number * BAND + 1};{left + 1}H"
                keys = f"a=T,f=24,o=z,i={FIRST_ID + number},p=1,q=2,C=1"
                size = f"s={width},v={height},c={columns},r={BAND}"
                yield f"\x1b7{where}{_sent(f'{keys},{size}', band)}\x1b8"

    def clear(self) -> str:
        """What to write so that nothing of it is left."""
        gone = "".join(f"\x1b_Ga=d,d=I,i={FIRST_ID + number},q=2\x1b\\" for number in self._bands)
        self._bands.clear()
        self._place = ()
        return gone


def _sent(keys: str, data: bytes) -> str:
    """An image in pieces; the first one says what it is."""
    text = b64encode(zlib.compress(data, 1)).decode()
    pieces = [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]
    heads = [keys, *["q=2"] * (len(pieces) - 1)]
    more = [1] * (len(pieces) - 1) + [0]
    return "".join(
        f"\x1b_G{head},m={last};{piece}\x1b\\"
        for head, last, piece in zip(heads, more, pieces, strict=True)
    )

"""A guest's screen by sixels, for terminals without the kitty protocol that have these.

A sixel is a column of six pixels in one colour (VT330/VT340 Programmer Reference Manual, volume 2,
chapter 14). Their pictures are part of the cells: whatever is written there hides them.
"""

from __future__ import annotations

import re
from functools import cache
from math import gcd
from typing import TYPE_CHECKING

from workstation.ui.screen.pixels import Cell, Pane, Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

LINES = 6
"""Of a row of sixels."""
REGISTERS = 256
"""That terminals have."""
COLOURS = 128
"""Of a band that has more colours than there are registers: half as many take half as long."""
BLANK = 63
"""Code of the sixel without a pixel; of the others, the bits of their pixels are added."""

_SAME = re.compile(rb"([?-~])\1{3,}")


class Sixel(Pixels):
    """The bands of one pane; each is as high as both cells and sixels end together."""

    name = "sixel graphics"
    stays = False

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell, LINES // gcd(cell.height, LINES))

    def sent(self, number: int, band: Image, columns: int, rows: int) -> str:
        return sixels(band)

    def erased(self) -> str:
        """Blanks in its cells (ECH)."""
        place = self._place if self._bands else Pane(0, 0, 0, 0)
        return "".join(
            f"\x1b7\x1b[{place.top + row + 1};{place.left + 1}H\x1b[{place.columns}X\x1b8"
            for row in range(place.rows)
        )

    def painted_over(self, rows: range) -> bool:
        place = self._place
        lost = {
            number
            for number in self._bands
            if rows.start < place.top + min(place.rows, (number + 1) * self.band)
            and place.top + number * self.band < rows.stop
        }
        for number in lost:
            del self._bands[number]
        return bool(lost)


def sixels(picture: Image) -> str:
    """An RGB picture as a control string, in the terminal's registers; what is below its last line,
    in the last row of sixels, stays as it is."""
    few = _with_registers(picture)
    width, data = few.width, few.tobytes()
    palette = few.getpalette() or []
    registers = "".join(
        f"#{number};2;" + ";".join(str(round(value / 2.55)) for value in palette[at : at + 3])
        for number, at in ((number, 3 * number) for number in sorted(set(data)))
    )
    rows = (data[at : at + LINES * width] for at in range(0, len(data), LINES * width))
    drawn = b"-".join(_row(row, width) for row in rows).decode()
    return f'\x1bP0;1;0q"1;1;{width};{few.height}{registers}{drawn}\x1b\\'


def _with_registers(picture: Image) -> Image:
    from PIL.Image import Dither, Quantize

    if picture.getcolors(REGISTERS):  # none is lost
        return picture.quantize(REGISTERS, Quantize.MEDIANCUT, dither=Dither.NONE)
    return picture.quantize(COLOURS, Quantize.FASTOCTREE, dither=Dither.NONE)


def _row(data: bytes, width: int) -> bytes:
    """Up to six lines of colours' numbers: for each colour, the sixels that have it."""
    blank = int.from_bytes(bytes([BLANK]) * width)
    drawn = []
    for colour in sorted(set(data)):
        bits = blank
        marked = data.translate(_mark(colour))
        for line in range(len(data) // width):
            bits += int.from_bytes(marked[line * width : (line + 1) * width]) << line
        said = bits.to_bytes(width).rstrip(b"?")
        drawn.append(b"#%d%b" % (colour, _SAME.sub(_times, said)))
    return b"$".join(drawn)


@cache
def _mark(colour: int) -> bytes:
    """A table that makes that colour 1 and every other 0."""
    return bytes(colour) + b"\1" + bytes(255 - colour)


def _times(found: re.Match[bytes]) -> bytes:
    return b"!%d%b" % (len(found[0]), found[1])

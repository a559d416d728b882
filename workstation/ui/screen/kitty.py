"""A guest's screen by the kitty graphics protocol: true pixels in the terminal.

https://sw.kovidgoyal.net/kitty/graphics-protocol/ says what is sent. A band is an image, which
stays above whatever is written in its cells until it is deleted.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from typing import TYPE_CHECKING

from workstation.ui.screen.pixels import Cell, Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNK = 4096
"""Bytes of base64 in a piece."""
BAND = 2
"""Rows of cells in an image."""
FIRST_ID = 7_000
"""Of our images; another program's have other numbers, we hope, and ours are deleted."""


class Kitty(Pixels):
    """The images of one pane."""

    name = "kitty graphics"
    stays = True

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell, BAND)

    def sent(self, number: int, band: Image, columns: int, rows: int) -> str:
        keys = f"a=T,f=24,o=z,i={FIRST_ID + number},p=1,q=2,C=1"
        size = f"s={band.width},v={band.height},c={columns},r={rows}"
        return _sent(f"{keys},{size}", band.tobytes())

    def erased(self) -> str:
        return "".join(f"\x1b_Ga=d,d=I,i={FIRST_ID + number},q=2\x1b\\" for number in self._bands)


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

"""Text that a guest's screen shows, read from its pixels.

A text screen scaled down to a terminal's half blocks is mush; read as text, its 80x25 cells fit
into a terminal's own.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from workstation.qemu.rfb.canvas import BYTES, Box, Canvas

HEIGHT = 16
WIDTH = 8
WIDE = 9
"""Cells of a VGA in its text mode; the ninth column is blank, or repeats the eighth."""
VGA_TEXT = frozenset({(720, 400), (720, 480)})
ENOUGH = 0.97
"""Share of the cells that must be known for a screen to be one of text."""
MOST_COLOURS = 64
"""A screen with more is a picture."""
MEMORY = 1 << 15
"""Cells whose look is remembered."""
CURSOR_LINES = 3
"""So many of a cell's lowest lines may be a cursor's."""

Colour = tuple[int, int, int]


class Cell(NamedTuple):
    """A character and its colours."""

    char: str
    front: Colour
    back: Colour
    underlined: bool = False
    """A cursor stands under it."""


class _Known(NamedTuple):
    """What a cell's pixels are, whatever their colours."""

    char: str
    ink: int
    """Number of a pixel that belongs to the character; -1 for none."""
    paper: int
    underlined: bool = False


_STRANGE = _Known("", -1, 0)


class TextScreen:
    """Reads a canvas cell by cell; only what was damaged is read again."""

    def __init__(self, font: Mapping[bytes, str]) -> None:
        self._font = font
        self._bodies = {glyph[: HEIGHT - CURSOR_LINES]: char for glyph, char in font.items()}
        self._memory: dict[bytes, _Known] = {}
        self._size = (0, 0)
        self._written = 0
        self.rows: list[list[Cell | None]] = []
        """None where a cell is no known character."""

    @property
    def is_text(self) -> bool:
        """Whether what was read last is a screen of text."""
        count = sum(map(len, self.rows))
        strange = sum(cell is None for row in self.rows for cell in row)
        written = any(cell and cell.char != " " for row in self.rows for cell in row)
        return bool(count) and written and strange <= count * (1 - ENOUGH)

    def text(self) -> str:
        """The lines, without what is blank at their ends."""
        lines = ("".join(cell.char if cell else "�" for cell in row) for row in self.rows)
        return "\n".join(line.rstrip() for line in lines).rstrip("\n")

    def read(self, canvas: Canvas, damage: Iterable[Box]) -> set[int]:
        """Read what was damaged; the numbers of the rows that may be others now."""
        size = (canvas.width, canvas.height)
        step = WIDE if size in VGA_TEXT else WIDTH
        columns, lines = canvas.width // step, canvas.height // HEIGHT
        if size != self._size:
            self._size, damage = size, [canvas.box]
            self.rows = [[None] * columns for _ in range(lines)]
        if not self._font:
            return set()
        changed: set[int] = set()
        for box in damage:
            first, last = box.top // HEIGHT, min(lines, -(-box.bottom // HEIGHT))
            left, right = box.left // step, min(columns, -(-box.right // step))
            if first < last and left < right:
                self._read(canvas, step, range(left, right), range(first, last))
                changed.update(range(first, last))
        return changed

    def _read(self, canvas: Canvas, step: int, columns: range, lines: range) -> None:
        top, bottom = lines.start * HEIGHT, lines.stop * HEIGHT
        area = canvas.image().crop((columns.start * step, top, columns.stop * step, bottom))
        if area.convert("RGB").getcolors(MOST_COLOURS) is None:
            for line in lines:
                self.rows[line][columns.start : columns.stop] = [None] * len(columns)
            return
        grey = area.convert("RGB").convert("L")
        size = WIDTH * HEIGHT
        for column in columns:
            x = (column - columns.start) * step
            # A column of cells: the pixels of each lie together.
            pixels = grey.crop((x, 0, x + WIDTH, bottom - top)).tobytes()
            for number, line in enumerate(lines):
                known = self._look(pixels[number * size : (number + 1) * size])
                self.rows[line][column] = _cell(canvas, known, column * step, line * HEIGHT)

    def _look(self, pixels: bytes) -> _Known:
        known = self._memory.get(pixels)
        if known is None:
            if len(self._memory) >= MEMORY:
                self._memory.clear()
            known = self._memory[pixels] = self._recognised(pixels)
        return known

    def _recognised(self, pixels: bytes) -> _Known:
        shades = sorted(set(pixels))
        if len(shades) == 1:
            return _Known(" ", -1, 0)
        if len(shades) != 2:
            return _STRANGE
        dark, light = shades
        # Light on dark is tried first: some signs are the reverse of others.
        ways = [(ink, _lines(pixels, ink)) for ink in (light, dark)]
        found = [(ink, self._font[lines], False) for ink, lines in ways if lines in self._font]
        found += [(ink, self._bodies.get(_body(lines), ""), True) for ink, lines in ways]
        ink, char, underlined = next(one for one in found if one[1] or one is found[-1])
        paper = dark if ink == light else light
        return _Known(char, pixels.index(ink), pixels.index(paper), underlined)


def _lines(pixels: bytes, ink: int) -> bytes:
    """A byte for each of the cell's lines, a bit for each pixel that is ink."""
    bits = int(pixels.translate(bytes(48 + (shade == ink) for shade in range(256))), 2)
    return bits.to_bytes(HEIGHT, "big")


def _body(lines: bytes) -> bytes:
    """The lines above a cursor; nothing where the lowest ones are none."""
    lowest = lines[-CURSOR_LINES:]
    return b"" if lowest.strip(b"\0\xff") else lines[:-CURSOR_LINES]


def _cell(canvas: Canvas, known: _Known, x: int, y: int) -> Cell | None:
    if not known.char:
        return None
    back = _pixel(canvas, x, y, known.paper)
    front = back if known.ink < 0 else _pixel(canvas, x, y, known.ink)
    return Cell(known.char, front, back, known.underlined)


def _pixel(canvas: Canvas, x: int, y: int, number: int) -> Colour:
    at = ((y + number // WIDTH) * canvas.width + x + number % WIDTH) * BYTES
    red, green, blue = canvas.data[at : at + 3]
    return red, green, blue

"""Sixels: the bytes that leave are drawn again here, by the manual of the first terminals."""

import os
import random
import re
import sys

import pytest
from PIL import Image

from tests.bench.terminal import Terminal
from tests.fakes.screens import desktop
from workstation.core.screen.look import Box
from workstation.ui.screen.pixels import Cell, Pane
from workstation.ui.screen.sixel import Sixel, sixels

PROGRAM = (sys.executable, "-m", "tests.fakes", "--calm", "--desktop")
ENVIRON = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
STRING = re.compile(r"\x1bP0;1;0q([^\x1b]*)\x1b\\")
PLACED = re.compile(r"\x1b7\x1b\[(\d+);(\d+)H\x1bP0;1;0q([^\x1b]*)\x1b\\\x1b8")
TOKEN = re.compile(r'"[\d;]+|#\d+(?:;2;\d+;\d+;\d+)?|!\d+[?-~]|[?-~]|[$-]')

BLACK = (0, 0, 0)


def drawn(body: str) -> Image.Image:
    """VT330/VT340 Programmer Reference Manual, volume 2, chapter 14; unset pixels are magenta."""
    assert "".join(TOKEN.findall(body)) == body, "nothing else is in it"
    raster, *tokens = TOKEN.findall(body)
    _, _, width, height = map(int, raster[1:].split(";"))
    picture = Image.new("RGB", (width, -(-height // 6) * 6), (255, 0, 255))
    registers: dict[int, tuple[int, int, int]] = {}
    x = y = colour = 0
    for token in tokens:
        if token[0] == "#":
            colour, *values = (int(value) for value in token[1:].split(";"))
            if values:
                red, green, blue = (round(value * 2.55) for value in values[1:])
                registers[colour] = red, green, blue
        elif token == "$":
            x = 0
        elif token == "-":
            x, y = 0, y + 6
        else:
            count = int(token[1:-1]) if token[0] == "!" else 1
            for line in range(6):
                if ord(token[-1]) - 63 >> line & 1:
                    picture.paste(registers[colour], (x, y + line, x + count, y + line + 1))
            x += count
    assert len(registers) <= 256
    return picture.crop((0, 0, width, height))


def body(written: str) -> str:
    found = STRING.fullmatch(written)
    assert found
    return found[1]


def furthest(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of a channel."""
    assert one.size == other.size
    return max(
        abs(a - b) for a, b in zip(one.tobytes(), other.convert("RGB").tobytes(), strict=True)
    )


@pytest.mark.parametrize("size", [(1, 1), (7, 6), (40, 5), (33, 13), (300, 12)])
def test_pictures_come_back_pixel_by_pixel(size: tuple[int, int]) -> None:
    source = random.Random(str(size))
    colours = [(0, 0, 0), (255, 255, 255), (200, 0, 0), (0, 90, 200), (10, 200, 40)]
    pixels = [source.choice(colours) for _ in range(size[0] * size[1])]
    picture = Image.frombytes("RGB", size, bytes(value for pixel in pixels for value in pixel))
    # Registers are told in hundredths.
    assert furthest(drawn(body(sixels(picture))), picture) <= 2


def test_many_colours_become_near_ones() -> None:
    sky = bytes(value for y in range(30) for x in range(40) for value in (6 * x, 8 * y, 200))
    picture = Image.frombytes("RGB", (40, 30), sky)
    assert picture.getcolors(256) is None
    assert furthest(drawn(body(sixels(picture))), picture) <= 40


def test_what_is_alike_is_counted() -> None:
    grey = Image.new("RGB", (500, 6), (128, 128, 128))
    assert body(sixels(grey)).endswith("!500~")
    assert len(sixels(grey)) < 50


async def test_a_terminal_that_has_them_and_tells_its_cells_gets_them() -> None:
    async with Terminal.running(PROGRAM, ENVIRON) as terminal:
        await terminal.shows("sales-demo", "build-box")
        terminal.press("g")
        await terminal.until(lambda it: "\x1b_Gi=31,s=1,v=1,a=q" in it.written)
        terminal.press("\x1b[6;16;8t\x1b[?62;4;22c")
        # 640x400 on 100x29 cells of 8x16: 742x464, in 93x29 cells; bands of 3 rows, 48 pixels.
        await terminal.until(lambda it: len(PLACED.findall(it.written)) >= 10)
        await terminal.until(lambda it: "sixel graphics" in it.text)
        placed = {int(row): text for row, _, text in PLACED.findall(terminal.written)}
        assert sorted(placed) == list(range(1, 30, 3))
        assert {column for _, column, _ in PLACED.findall(terminal.written)} == {"4"}
        assert drawn(placed[1]).size == (93 * 8, 48)
        assert drawn(placed[28]).size == (93 * 8, 32), "not over the line at the bottom"
        red, green, blue = drawn(placed[1]).getpixel((300, 2))  # type: ignore[misc]
        assert (red // 10, green // 10, blue) == (4, 11, pytest.approx(200, abs=3))
        assert "\x1b_Ga=T" not in terminal.written

        terminal.forget()
        terminal.press("\x1c")  # the menu is above it, and then it is whole again
        await terminal.shows("ctrl+alt+del")
        assert not PLACED.findall(terminal.written.partition("ctrl+alt+del")[2])
        terminal.forget()
        terminal.press("\x1b")
        await terminal.until(lambda it: len(PLACED.findall(it.written)) >= 10)
        terminal.forget()
        terminal.press("\x1d")
        await terminal.shows("MACHINES")
        assert not PLACED.findall(terminal.written.partition("MACHINES")[2])


@pytest.mark.usefixtures("at_once")
def test_only_bands_that_changed_are_sent_again() -> None:
    canvas, pane = desktop(), Pane(0, 0, 80, 24)
    pixels = Sixel(Cell(8, 16))
    assert len(PLACED.findall(pixels.draw(canvas, pane, 0, (0, 0)))) == 8
    assert pixels.draw(canvas, pane, 0, (0, 0)) == ""
    canvas.put(canvas.box._replace(top=398), bytes(640 * 2 * 4))
    ((row, _, text),) = PLACED.findall(pixels.draw(canvas, pane, 0, (0, 0)))
    assert row == "22"
    assert drawn(text).getpixel((0, 47)) == BLACK


def test_what_takes_long_is_drawn_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workstation.ui.screen.pixels.SLICE", -1.0)
    canvas, pane = desktop(), Pane(0, 0, 80, 24)
    rows: list[int] = []
    pixels = Sixel(Cell(8, 16))
    damage: list[Box] | None = None
    while not rows or pixels.unfinished:
        ((row, _, _),) = PLACED.findall(pixels.draw(canvas, pane, 0, (0, 0), damage))
        rows.append(int(row))
        damage = []
    assert rows == [1, 4, 7, 10, 13, 16, 19, 22]
    # All of it changes all the time: the bands take turns, and none is forgotten.
    for colour in (1, 2, 3):
        canvas.put(canvas.box, bytes([colour]) * len(canvas.data))
        ((row, _, _),) = PLACED.findall(pixels.draw(canvas, pane, 0, (0, 0)))
        rows.append(int(row))
    assert rows[8:] == [1, 4, 7]
    assert pixels.unfinished
    assert pixels.clear() == ""
    assert not pixels.unfinished


@pytest.mark.usefixtures("at_once")
def test_what_is_written_in_the_cells_is_drawn_over_again() -> None:
    canvas, pane = desktop(), Pane(0, 2, 80, 24)
    pixels = Sixel(Cell(8, 16))
    pixels.draw(canvas, pane, 0, (0, 0))
    assert not pixels.painted_over(range(0, 2)), "above it"
    assert not pixels.painted_over(range(26, 30)), "below it"
    assert pixels.painted_over(range(4, 6))
    written = pixels.draw(canvas, pane, 0, (0, 0), damage=[])
    assert [row for row, _, _ in PLACED.findall(written)] == ["3", "6"]


@pytest.mark.usefixtures("at_once")
def test_another_size_leaves_nothing_of_the_picture_before() -> None:
    pixels = Sixel(Cell(8, 16))
    pixels.draw(desktop(), Pane(0, 0, 80, 24), 0, (0, 0))
    written = pixels.draw(desktop(300, 300), Pane(0, 0, 80, 24), 0, (0, 0))
    blanks = re.findall(r"\x1b\[(\d+);2H\x1b\[77X", written)
    assert [int(row) for row in blanks] == list(range(1, 25))
    assert written.index("X") < written.index("\x1bP")


@pytest.mark.parametrize(("height", "band"), [(16, 3), (18, 1), (20, 3), (17, 6), (15, 2)])
def test_a_band_ends_with_cells_and_with_sixels(height: int, band: int) -> None:
    pixels = Sixel(Cell(8, height))
    assert pixels.band == band
    assert band * height % 6 == 0

"""Graphics in a terminal that has them: the bytes that leave, seen through a pseudo-terminal."""

import os
import re
import sys
import zlib
from base64 import b64decode

import pytest
from PIL import Image

from tests.bench.terminal import Terminal
from tests.fakes.screens import desktop, text_screen
from workstation.ui.replies import Replies
from workstation.ui.screen.graphics import chosen
from workstation.ui.screen.kitty import Kitty
from workstation.ui.screen.pixels import Cell, Pane

PROGRAM = (sys.executable, "-m", "tests.fakes", "--calm", "--desktop")
ENVIRON = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
COMMAND = re.compile(r"\x1b_G([^;\x1b]*)(?:;([^\x1b]*))?\x1b\\")
PLACE = re.compile(r"\x1b7\x1b\[(\d+);(\d+)H\x1b_G")


def images(written: str) -> dict[int, tuple[dict[str, str], Image.Image]]:
    """Keys and picture of every image that was sent, by its number."""
    found: dict[int, tuple[dict[str, str], Image.Image]] = {}
    keys: dict[str, str] = {}
    data = ""
    for head, payload in COMMAND.findall(written):
        words = dict(word.split("=") for word in head.split(","))
        if words.get("a") in ("q", "d"):
            continue
        keys, data = (words, payload) if "a" in words else (keys, data + payload)
        if words["m"] == "0":
            size = int(keys["s"]), int(keys["v"])
            pixels = zlib.decompress(b64decode(data))
            found[int(keys["i"])] = keys, Image.frombytes("RGB", size, pixels)
    return found


async def test_a_terminal_with_graphics_gets_true_pixels_and_none_are_left_behind() -> None:
    async with Terminal.running(PROGRAM, ENVIRON) as terminal:
        await terminal.shows("sales-demo")
        await terminal.until(lambda it: "build-box" in it.text)
        terminal.press("g")
        await terminal.until(lambda it: "\x1b_Gi=31,s=1,v=1,a=q" in it.written)
        assert "\x1b_Ga=T" not in terminal.written, "nothing before the terminal has answered"
        terminal.press("\x1b_Gi=31;OK\x1b\\\x1b[6;16;8t\x1b[?62;4c")
        # 640x400 on 100x29 cells of 8x16: 742x464, in 93x29 cells; bands of two rows.
        await terminal.until(lambda it: len(images(it.written)) == 15)
        await terminal.until(lambda it: "kitty graphics" in it.text)
        sent = images(terminal.written)
        keys, first = sent[7000]
        assert (keys["c"], keys["r"], keys["C"], keys["q"]) == ("93", "2", "1", "2")
        assert first.size == (93 * 8, 32)
        assert sent[7014][0]["r"] == "1", "not over the line at the bottom"
        assert sent[7014][1].size == (93 * 8, 16)
        red, green, blue = first.getpixel((300, 2))  # type: ignore[misc]
        assert (red // 10, green // 10, blue) == (4, 11, 200)
        assert PLACE.findall(terminal.written)[0] == ("1", "4")
        assert all(len(payload) <= 4096 for _, payload in COMMAND.findall(terminal.written))
        terminal.forget()
        terminal.press("\x1d")
        await terminal.shows("MACHINES")
        for number in sent:
            assert f"\x1b_Ga=d,d=I,i={number},q=2" in terminal.written


async def test_a_terminal_without_graphics_gets_half_blocks() -> None:
    async with Terminal.running(PROGRAM, ENVIRON) as terminal:
        await terminal.shows("sales-demo", "build-box")
        terminal.press("g")
        await terminal.until(lambda it: "\x1b_Gi=31,s=1,v=1,a=q" in it.written)
        terminal.press("\x1b[?1;2c")
        await terminal.until(lambda it: it.text.count("▀") > 1500)
        assert "\x1b_Ga=T" not in terminal.written


@pytest.mark.usefixtures("at_once")
def test_only_bands_that_changed_are_sent_again() -> None:
    canvas, pane = desktop(), Pane(0, 0, 80, 24)
    pixels = Kitty(Cell(8, 16))
    assert len(images(pixels.draw(canvas, pane, 0, (0, 0)))) == 12
    assert pixels.draw(canvas, pane, 0, (0, 0)) == ""
    canvas.put(canvas.box._replace(top=398), bytes(640 * 2 * 4))
    assert list(images(pixels.draw(canvas, pane, 0, (0, 0)))) == [7011]
    assert pixels.clear().count("a=d") == 12
    assert pixels.clear() == ""


@pytest.mark.usefixtures("at_once")
def test_another_size_takes_the_old_pictures_away() -> None:
    pixels = Kitty(Cell(8, 16))
    pixels.draw(desktop(), Pane(0, 0, 80, 24), 0, (0, 0))
    written = pixels.draw(text_screen("x"), Pane(0, 0, 80, 24), 0, (0, 0))
    assert written.startswith("\x1b_Ga=d")


@pytest.mark.parametrize(
    ("answers", "wanted", "graphics"),
    [
        ([], "auto", None),
        (["?62;4c"], "auto", None),
        (["i=31;OK", "?62c"], "auto", ("kitty", Cell(10, 20))),
        (["i=31;OK", "6;32;15t", "?62;4c"], "auto", ("kitty", Cell(15, 32))),
        (["i=31;OK", "6;0;0t", "?62c"], "auto", ("kitty", Cell(10, 20))),
        (["i=31;EINVAL:no", "?62c"], "auto", None),
        (["6;16;8t", "?62;4;22c"], "auto", ("sixel", Cell(8, 16))),
        (["6;16;8t", "?62;14;44c"], "auto", None),
        (["6;16;8t", "?4;6c"], "auto", None),
        (["i=31;OK", "6;16;8t", "?62;4c"], "sixel", ("sixel", Cell(8, 16))),
        ([], "sixel", ("sixel", Cell(10, 20))),
        ([], "kitty", ("kitty", Cell(10, 20))),
    ],
)
def test_what_a_terminal_answers(
    answers: list[str], wanted: str, graphics: tuple[str, Cell] | None
) -> None:
    pixels = chosen(answers, wanted)
    assert (pixels and (pixels.name.removesuffix(" graphics"), pixels.cell)) == graphics


def test_without_a_question_nothing_is_kept_from_the_keyboard() -> None:
    parser = Replies()
    assert [str(event) for event in parser.feed("\x1b_G")] == [
        str(event) for event in Replies.__mro__[1]().feed("\x1b_G")
    ]

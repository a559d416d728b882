"""Which graphics a terminal has, by what it answers and what the person wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workstation.ui.replies import ask
from workstation.ui.screen.kitty import Kitty
from workstation.ui.screen.pixels import Cell, Pixels
from workstation.ui.screen.sixel import Sixel

if TYPE_CHECKING:
    from typing import Any

    from textual.app import App

QUESTION = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t"
"""Whether there are kitty's graphics, and how large a cell is; DA1, which is asked after every
question, tells of sixels."""
SECONDS = 5.0
"""How long an answer is waited for: over a network, or on a busy computer, it takes a while. Only a
terminal that does not even answer DA1 keeps the person waiting so long."""
SIXELS = "4"
"""The attribute in DA1's answer."""


async def graphics_of(app: App[Any], wanted: str) -> Pixels | None:
    """What draws in its pixels; None for half blocks. `wanted` is the setting `graphics`."""
    if wanted == "blocks":
        return None
    return chosen(await ask(app, QUESTION, SECONDS), wanted)


def chosen(answers: Sequence[str], wanted: str = "auto") -> Pixels | None:
    """By itself a terminal gets sixels only if it tells how large its cells are: else the picture
    and the mouse would be somewhere."""
    cell = _cell(answers)
    if wanted == "kitty" or (wanted == "auto" and "i=31;OK" in answers):
        return Kitty(cell or Cell())
    if wanted == "sixel" or (wanted == "auto" and cell and _has_sixels(answers)):
        return Sixel(cell or Cell())
    return None


def _cell(answers: Sequence[str]) -> Cell | None:
    for answer in answers:
        if answer.startswith("6;"):
            height, width = map(int, answer[2:-1].split(";"))
            if 0 < width <= 200 and 0 < height <= 400:
                return Cell(width, height)
    return None


def _has_sixels(answers: Sequence[str]) -> bool:
    found = (answer for answer in answers if answer.startswith("?") and answer.endswith("c"))
    return any(SIXELS in answer[1:-1].split(";")[1:] for answer in found)

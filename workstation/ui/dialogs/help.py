"""The screen explained: its signs, and its keys as the commands define them."""

from __future__ import annotations

from itertools import groupby

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Static

from workstation.ui.commands import COMMANDS
from workstation.ui.commands.base import Command
from workstation.ui.dialogs.dialog import Dialog
from workstation.ui.looks import LOOKS, PANIC, PROBLEM

INTRODUCTION = (
    "On the left are your machines, on the right is the one under the cursor: how it does, what"
    " it last said, how to reach it. Machines run on when you leave; the line at the bottom shows"
    " what can be done to the selected one now."
)
MOVING = (("↑ ↓  j k", "to another machine"), ("esc", "close a dialog, drop the filter"))


class HelpDialog(Dialog[None]):
    AUTO_FOCUS = "#body"

    def __init__(self) -> None:
        super().__init__(cancelled=None)

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-large") as frame:
            frame.border_title = "Help"
            with VerticalScroll(id="body"):
                yield Static(INTRODUCTION, classes="paragraph", markup=False)
                yield from _table("What the signs mean", _signs())
                for section, rows in _sections():
                    yield from _table(section, rows)
                yield from _table("Moving", [_row(key, "", text) for key, text in MOVING])
            with Horizontal(id="buttons"):
                yield Button("Close", id="close")

    @on(Button.Pressed)
    def _close(self) -> None:
        self.dismiss(None)


def _table(title: str, rows: list[tuple[Content, Content, str]]) -> ComposeResult:
    yield Static(title, classes="heading", markup=False)
    for sign, word, text in rows:
        with Horizontal(classes="help-row"):
            yield Static(sign, classes="help-key")
            yield Static(word, classes="help-word")
            yield Static(text, classes="help-text", markup=False)


def _row(key: str, word: str, text: str) -> tuple[Content, Content, str]:
    return Content.styled(key, "bold $footer-key-foreground"), Content(word), text


def _signs() -> list[tuple[Content, Content, str]]:
    looks = [*LOOKS.values(), PANIC, PROBLEM]
    return [
        (
            Content.styled(look.glyph, look.style),
            Content.styled(look.word, look.style),
            look.meaning,
        )
        for look in looks
    ]


def _sections() -> list[tuple[str, list[tuple[Content, Content, str]]]]:
    order = sorted(COMMANDS.values(), key=lambda command: command.section != "The selected machine")
    order.sort(key=lambda command: command.section == "Workstation")

    def rows(commands: list[Command]) -> list[tuple[Content, Content, str]]:
        return [_row(command.shown_key, command.label, command.help()) for command in commands]

    groups = groupby(order, key=lambda command: command.section)
    return [(section, rows(list(commands))) for section, commands in groups]

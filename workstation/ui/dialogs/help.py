"""The screen explained: its signs, and its keys as the commands define them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Static

from workstation.ui.commands.base import Command
from workstation.ui.dialogs.dialog import Dialog

if TYPE_CHECKING:
    from workstation.ui.desk import Desk
    from workstation.ui.looks import Look

MOVING = (
    ("↑ ↓  j k", "to another row"),
    ("esc", "close a dialog; drop filter and notices"),
)


class HelpDialog(Dialog[None]):
    AUTO_FOCUS = "#body"

    def __init__(self, desk: Desk) -> None:
        super().__init__(cancelled=None)
        self._desk = desk

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-large") as frame:
            frame.border_title = "Help"
            with VerticalScroll(id="body"):
                yield Static(self._desk.introduction, classes="paragraph", markup=False)
                yield from _table("What the signs mean", _signs(self._desk.signs()))
                for section, rows in _sections(self._desk.commands):
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


def _signs(looks: Iterable[Look]) -> list[tuple[Content, Content, str]]:
    return [
        (
            Content.styled(look.glyph, look.style),
            Content.styled(look.word, look.style),
            look.meaning,
        )
        for look in looks
    ]


def _sections(
    commands: Mapping[str, Command[Any]],
) -> list[tuple[str, list[tuple[Content, Content, str]]]]:
    order = sorted(commands.values(), key=lambda command: not command.section.startswith("The sel"))
    order.sort(key=lambda command: command.section == "Workstation")

    def rows(commands: list[Command[Any]]) -> list[tuple[Content, Content, str]]:
        return [_row(command.shown_key, command.label, command.help()) for command in commands]

    groups = groupby(order, key=lambda command: command.section)
    return [(section, rows(list(commands))) for section, commands in groups]

"""Small questions on the way: a path, or one thing out of a list."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from textual import getters, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, OptionList, Static

from workstation.ui.dialogs.dialog import Dialog, paragraphs
from workstation.ui.new.cards import card
from workstation.ui.widgets.boxes import Box
from workstation.ui.widgets.lines import plain_title
from workstation.ui.widgets.options import Options


class PathDialog(Dialog[str]):
    """Answers a path that is there; empty where the person thought better of it."""

    AUTO_FOCUS = "#path"

    box = getters.query_one("#path", Input)

    def __init__(self, title: str, text: str, *, directories: bool = False) -> None:
        super().__init__(cancelled="")
        self._title, self._text, self._directories = title, text, directories

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-large") as frame:
            plain_title(frame, self._title)
            yield from paragraphs([self._text])
            with Horizontal(classes="field"):
                yield Static("Path", classes="muted field-label")
                yield Box(id="path", compact=True, max_length=1000)
            yield Static(id="trouble")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Next", id="next", disabled=True)

    def on_mount(self) -> None:
        self.box.cursor_blink = False

    def _trouble(self) -> str:
        path = os.path.expanduser(self.box.value)  # noqa: PTH111
        if not path:
            return ""
        if os.path.isfile(path) or (self._directories and os.path.isdir(path)):  # noqa: PTH112, PTH113
            return ""
        return "There is no such file."

    @on(Input.Changed)
    def _check(self) -> None:
        trouble = self._trouble()
        self.query_one("#trouble", Static).update(Content.styled(trouble, "$text-warning"))
        self.query_one("#next").disabled = bool(trouble) or not self.box.value

    @on(Input.Submitted)
    @on(Button.Pressed, "#next")
    def _take(self) -> None:
        if self.box.value and not self._trouble():
            self.dismiss(self.box.value)

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.action_cancel()


class Item(NamedTuple):
    id: str
    name: str
    text: str
    usable: bool = True


class PickDialog(Dialog[str]):
    """Answers the id of one item; empty for none."""

    AUTO_FOCUS = "OptionList"

    def __init__(self, title: str, items: Sequence[Item]) -> None:
        super().__init__(cancelled="")
        self._title, self._items = title, items

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-large") as frame:
            plain_title(frame, self._title)
            options = [card(one.name, one.text, one.id, usable=one.usable) for one in self._items]
            yield Options(*options, id="items")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id or "")

    @on(Button.Pressed)
    def _cancel(self) -> None:
        self.action_cancel()

"""A question with more answers than yes and no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button

from workstation.model.text import safe_line
from workstation.ui.dialogs.dialog import Dialog, paragraphs
from workstation.ui.widgets.lines import plain_title


class Answer(NamedTuple):
    id: str
    label: str
    loses: bool = False
    """Whether something is lost by it."""


class Choose(Dialog[str]):
    """Answers the id of the button that was pressed; empty for none. Enter is the last one."""

    AUTO_FOCUS = "Button:last-of-type"

    def __init__(self, title: str, lines: Sequence[str], answers: Sequence[Answer]) -> None:
        super().__init__(cancelled="")
        self._title, self._lines, self._answers = safe_line(title, limit=60), lines, answers

    def compose(self) -> ComposeResult:
        with Vertical(id="frame") as frame:
            plain_title(frame, self._title)
            yield from paragraphs(self._lines)
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                for answer in self._answers:
                    classes = "-loses" if answer.loses else ""
                    yield Button(answer.label, id=answer.id, classes=classes)

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        chosen = event.button.id or ""
        self.dismiss("" if chosen == "cancel" else chosen)

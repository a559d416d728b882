"""A question whose “yes” is never the default where something is lost."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button

from workstation.model.text import safe_line
from workstation.ui.dialogs.dialog import Dialog, paragraphs
from workstation.ui.widgets.lines import plain_title


class Confirm(Dialog[bool]):
    """Answers True only for the button that says what happens."""

    AUTO_FOCUS = "#no"

    def __init__(
        self, title: str, lines: Sequence[str], *, yes: str, no: str = "Cancel", loses: bool = False
    ) -> None:
        super().__init__(cancelled=False)
        self._title, self._lines = safe_line(title, limit=60), lines
        self._yes, self._no, self._loses = yes, no, loses

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-loses" if self._loses else "") as frame:
            plain_title(frame, self._title)
            yield from paragraphs(self._lines)
            with Horizontal(id="buttons"):
                yield Button(self._no, id="no")
                yield Button(self._yes, id="yes", classes="-loses" if self._loses else "")

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

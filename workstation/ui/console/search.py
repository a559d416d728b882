"""The line in which one types what to look for in what the guest has shown."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from workstation.ui.widgets.boxes import Box


class SearchBox(Box):
    """Enter looks for it, Escape leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "drop", show=False)]

    class Wanted(Message):
        """Look for this."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(placeholder="look for …", compact=True)
        self.cursor_blink = False  # a screen at rest is not painted

    def open(self) -> None:
        """Begins empty: what was looked for last is what n goes on with."""
        self.display = True
        self.focus()

    def take(self, event: events.Key) -> None:
        """As if it had come here."""
        event.stop()
        if event.key == "enter":
            self._done(self.value)
        elif event.key == "escape":
            self.action_drop()
        elif event.is_printable and event.character:
            self.insert_text_at_cursor(event.character)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._done(self.value)

    def action_drop(self) -> None:
        self._done("")

    def _done(self, text: str) -> None:
        self.display = False
        self.post_message(self.Wanted(text))

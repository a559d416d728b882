"""A name for something, checked as it is typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import getters, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from workstation.model.text import safe_line
from workstation.ui.dialogs.dialog import Dialog, Result, paragraphs
from workstation.ui.widgets.boxes import Box
from workstation.ui.widgets.lines import plain_title

Trouble = Callable[[str], str]
"""Why it cannot be that name; empty where it can."""


class NamingDialog(Dialog[Result]):
    """Asks for a name among other things; takes no answer while there is trouble with it."""

    AUTO_FOCUS = "#name"

    name_box = getters.query_one("#name", Input)

    def __init__(self, *, trouble: Trouble, cancelled: Result) -> None:
        super().__init__(cancelled=cancelled)
        self._trouble = trouble

    def answer(self) -> Result:
        raise NotImplementedError

    def on_mount(self) -> None:
        for box in self.query(Input):
            box.cursor_blink = False

    @on(Input.Changed, "#name")
    def _check(self) -> None:
        trouble = self._trouble(self.name_box.value)
        self.query_one("#trouble", Static).update(
            Content.styled(safe_line(trouble, limit=200), "$text-warning")
        )
        self.query_one("#yes").disabled = bool(trouble)

    @on(Input.Submitted)
    @on(Button.Pressed, "#yes")
    def _take(self) -> None:
        if not self._trouble(self.name_box.value):
            self.dismiss(self.answer())

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.action_cancel()


class NameDialog(NamingDialog[str]):
    """Answers the name; empty where the person thought better of it."""

    def __init__(
        self, title: str, lines: Sequence[str], *, value: str, trouble: Trouble, yes: str
    ) -> None:
        super().__init__(trouble=trouble, cancelled="")
        self._title, self._lines, self._value = safe_line(title, limit=60), lines, value
        self._yes = yes

    def compose(self) -> ComposeResult:
        with Vertical(id="frame") as frame:
            plain_title(frame, self._title)
            yield from paragraphs(self._lines)
            with Horizontal(classes="field"):
                yield Static("Name", classes="muted field-label")
                yield Box(self._value, id="name", compact=True, max_length=60)
            yield Static(id="trouble")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button(self._yes, id="yes")

    def answer(self) -> str:
        return self.name_box.value

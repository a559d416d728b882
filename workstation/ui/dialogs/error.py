"""What went wrong: what happened, what to do next, and the particulars on demand; those of a file
with problems at once, since they are what it is about."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button

from workstation.errors import InvalidError, WorkstationError, of_the_host
from workstation.ui.dialogs.dialog import Dialog, paragraphs, sentence
from workstation.ui.widgets.lines import plain_title


class ErrorDialog(Dialog[bool]):
    """Answers True where the person wants to try `again`."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("d", "details", show=False)]
    AUTO_FOCUS = "#first"

    def __init__(self, error: BaseException, *, again: str = "") -> None:
        super().__init__(cancelled=False)
        self._again = again
        self._title, self._what, self._hint, self._details = _said(error)
        self._at_once = isinstance(error, InvalidError)

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-error") as frame:
            plain_title(frame, self._title)
            yield from paragraphs([self._what])
            yield from paragraphs([sentence(self._hint)], classes="hint")
            with VerticalScroll(id="details") as details:
                details.display = self._at_once and bool(self._details)
                yield from paragraphs([self._details], classes="muted")
            with Horizontal(id="buttons"):
                if self._details and not self._at_once:
                    yield Button("Details", id="more")
                if self._again:
                    yield Button("Discard", id="close")
                yield Button(self._again or "Close", id="first")

    def action_details(self) -> None:
        """Show the particulars, or hide them."""
        details = self.query_one("#details")
        details.display = bool(self._details) and not details.display

    @on(Button.Pressed, "#more")
    def _more(self) -> None:
        self.action_details()

    @on(Button.Pressed, "#close, #first")
    def _close(self, event: Button.Pressed) -> None:
        self.dismiss(bool(self._again) and event.button.id == "first")


def _said(error: BaseException) -> tuple[str, str, str, str]:
    """Title, what, hint, details; an error that is not ours is a fault of the program."""
    if isinstance(error, OSError):
        error = of_the_host(error)
    if isinstance(error, WorkstationError):
        return error.title, sentence(str(error)), error.hint, error.details
    what = "The program has a fault; the machines are not touched by it."
    hint = "try again, and report it with the details if it comes back"
    return "Something went wrong", what, hint, f"{type(error).__name__}: {error}"

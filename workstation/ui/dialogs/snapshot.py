"""What a new snapshot is called, what it is about, and whether it keeps the guest's memory."""

from __future__ import annotations

from typing import NamedTuple

from textual import getters, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Checkbox, Input, Static

from workstation.model.text import safe_line
from workstation.ui.dialogs.dialog import Dialog, paragraphs
from workstation.ui.dialogs.name import Trouble
from workstation.ui.widgets.lines import plain_title
from workstation.ui.widgets.tick import Tick


class Wish(NamedTuple):
    tag: str
    note: str
    memory: bool


class SnapshotDialog(Dialog[Wish | None]):
    """Answers what to take, or None. Enter takes it as it stands."""

    AUTO_FOCUS = "#name"

    name_box = getters.query_one("#name", Input)
    note_box = getters.query_one("#note", Input)

    def __init__(self, machine: str, *, suggested: str, live: str, trouble: Trouble) -> None:
        """`live`: the accelerator that its guest runs under now; empty for none."""
        super().__init__(cancelled=None)
        self._machine, self._suggested = safe_line(machine, limit=40), suggested
        self._live, self._trouble = live, trouble

    def compose(self) -> ComposeResult:
        with Vertical(id="frame") as frame:
            plain_title(frame, f"Snapshot of {self._machine}")
            yield from paragraphs([_told(self._live)])
            with Horizontal(classes="field"):
                yield Static("Name", classes="muted field-label")
                yield Input(self._suggested, id="name", compact=True, max_length=40)
            yield Static(id="trouble")
            with Horizontal(classes="field"):
                yield Static("Note", classes="muted field-label")
                yield Input(id="note", compact=True, max_length=200, placeholder="what it is for")
            if self._live:
                yield Tick("with the guest's memory", True, id="memory", compact=True)
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Snapshot", id="yes")

    def on_mount(self) -> None:
        self.name_box.cursor_blink = self.note_box.cursor_blink = False

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
        tag = self.name_box.value
        if not self._trouble(tag):
            memory = all(box.value for box in self.query(Checkbox))
            self.dismiss(Wish(tag, self.note_box.value.strip(), memory))

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.action_cancel()


def _told(live: str) -> str:
    if live == "kvm":
        return "The guest runs on; it stands still for milliseconds."
    if live:
        return "The guest stands still while its memory is written: a second or so a GiB."
    return "Its disks are frozen as they are now, at once."

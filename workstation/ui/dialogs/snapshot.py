"""What a new snapshot is called, what it is about, and whether it keeps the guest's memory."""

from __future__ import annotations

from typing import NamedTuple

from textual import getters
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Checkbox, Input, Static

from workstation.model.text import safe_line
from workstation.ui.dialogs.dialog import paragraphs
from workstation.ui.dialogs.name import NamingDialog, Trouble
from workstation.ui.widgets.boxes import Box
from workstation.ui.widgets.lines import plain_title
from workstation.ui.widgets.tick import Tick


class Wish(NamedTuple):
    tag: str
    note: str
    memory: bool


class SnapshotDialog(NamingDialog[Wish | None]):
    """Answers what to take, or None. Enter takes it as it stands."""

    note_box = getters.query_one("#note", Input)

    def __init__(self, machine: str, *, suggested: str, live: str, trouble: Trouble) -> None:
        """`live`: the accelerator that its guest runs under now; empty for none."""
        super().__init__(trouble=trouble, cancelled=None)
        self._machine, self._suggested = safe_line(machine, limit=40), suggested
        self._live = live

    def compose(self) -> ComposeResult:
        with Vertical(id="frame") as frame:
            plain_title(frame, f"Snapshot of {self._machine}")
            yield from paragraphs([_told(self._live)])
            with Horizontal(classes="field"):
                yield Static("Name", classes="muted field-label")
                yield Box(self._suggested, id="name", compact=True, max_length=40)
            yield Static(id="trouble")
            with Horizontal(classes="field"):
                yield Static("Note", classes="muted field-label")
                yield Box(id="note", compact=True, max_length=200, placeholder="what it is for")
            if self._live:
                yield Tick("with the guest's memory", True, id="memory", compact=True)
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Snapshot", id="yes")

    def answer(self) -> Wish:
        memory = all(box.value for box in self.query(Checkbox))
        return Wish(self.name_box.value, self.note_box.value.strip(), memory)


def _told(live: str) -> str:
    if live == "kvm":
        return "The guest runs on; it stands still for milliseconds."
    if live:
        return "The guest stands still while its memory is written: a second or so a GiB."
    return "Its disks are frozen as they are now, at once."

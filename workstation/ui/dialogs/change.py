"""Keys of a machine's profile, changed: what takes effect when is said as they are typed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual import getters, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from workstation.errors import WorkstationError
from workstation.model.text import safe_line
from workstation.ui.dialogs.dialog import Dialog, paragraphs
from workstation.ui.widgets.boxes import Box
from workstation.ui.widgets.lines import plain_title

if TYPE_CHECKING:
    from workstation.model.change import Effect

Check = Callable[[Sequence[str]], Sequence["Effect"]]
"""What settings would do; raises WorkstationError."""

_TOLD = (
    "memory=512 MiB   drives[1].size=10 GiB   cdroms[0].image=/isos/tools.iso"
    "   cpu.cores=2   networks[0].forwards=['8080:80']"
)

MOST_TOLD = 5
"""Lines of what only this computer knows."""


class ChangeDialog(Dialog[list[str] | None]):
    """Answers the settings, or None."""

    AUTO_FOCUS = "#settings"

    box = getters.query_one("#settings", Input)

    def __init__(self, machine: str, check: Check, more: Sequence[str] = ()) -> None:
        """`more` are settings that only this computer knows, with what they mean."""
        super().__init__(cancelled=None)
        self._machine, self._check = safe_line(machine, limit=40), check
        self._more = "\n".join(safe_line(line, limit=80) for line in more[:MOST_TOLD])
        self._settings: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="frame") as frame:
            plain_title(frame, f"Change {self._machine}")
            yield from paragraphs(["Keys of its profile, such as:", _TOLD, self._more])
            with Horizontal(classes="field"):
                yield Static("Set", classes="muted field-label")
                yield Box(id="settings", compact=True, placeholder="key=value …")
            yield Static(id="effects")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Change", id="yes", disabled=True)

    def on_mount(self) -> None:
        self.box.cursor_blink = False

    @on(Input.Changed, "#settings")
    def _look(self) -> None:
        self._settings, told, style = [], "", "$text-warning"
        try:
            settings = _settings(self.box.value)
            if settings:
                told = "\n".join(map(str, self._check(settings))) or "nothing changes"
                self._settings, style = settings, "$text-muted"
        except ValueError:
            told = "a quote is open"
        except WorkstationError as error:
            told = error.details or str(error)
        lines = "\n".join(safe_line(line, limit=200) for line in told.splitlines())
        self.query_one("#effects", Static).update(Content.styled(lines, style))
        self.query_one("#yes").disabled = not self._settings

    @on(Input.Submitted)
    @on(Button.Pressed, "#yes")
    def _take(self) -> None:
        if self._settings:
            self.dismiss(self._settings)

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.action_cancel()


def _settings(typed: str) -> list[str]:
    """Each `key=value`; a word that is none belongs to the value before it: `memory=2 GiB`."""
    found: list[str] = []
    for word in shlex.split(typed):
        if found and "=" not in word:
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found

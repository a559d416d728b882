"""The passphrase of a bundle that a machine reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from workstation.errors import WorkstationError
from workstation.model.text import safe_line
from workstation.ui.dialogs.dialog import Dialog, paragraphs, sentence
from workstation.ui.dialogs.secret import Secret


class UnlockDialog(Dialog[bool]):
    """Answers True when the bundle is unlocked; asks again until the passphrase is right."""

    AUTO_FOCUS = "#secret"

    secret = getters.query_one(Secret)
    trouble = getters.query_one("#trouble", Static)

    def __init__(self, file: str, unlock: Callable[[str], Awaitable[object]]) -> None:
        """`unlock` raises WorkstationError for another passphrase."""
        super().__init__(cancelled=False)
        self._file, self._unlock = safe_line(file, limit=200), unlock

    def compose(self) -> ComposeResult:
        with Vertical(id="frame") as frame:
            frame.border_title = "A passphrase is needed"
            told = f"{self._file} is encrypted. Its key is at hand then until you log out."
            yield from paragraphs([told])
            yield Secret(0)
            yield Static(id="trouble")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Unlock", id="yes")

    def on_mount(self) -> None:
        self.secret.ask(shown=True)

    @on(Input.Submitted)
    @on(Button.Pressed, "#yes")
    def _try(self) -> None:
        if self.secret.value:
            self._open(self.secret.value)

    @on(Button.Pressed, "#cancel")
    def _leave(self) -> None:
        self.dismiss(False)

    @work(group="unlock", exclusive=True, exit_on_error=False)
    async def _open(self, passphrase: str) -> None:
        try:
            await self._unlock(passphrase)
        except WorkstationError as error:
            text = sentence(safe_line(str(error), limit=120))
            self.trouble.update(Content.styled(text, "$text-warning"))
        else:
            self.dismiss(True)

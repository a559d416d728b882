"""A passphrase as it is typed: never shown, never printed, and twice where it is a new one."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from workstation.ui.widgets.boxes import Box

LONGEST = 1000


class Secret(Vertical):
    """One field, or two of the same; hidden while nothing is asked for."""

    DEFAULT_CSS = "Secret { height: auto; display: none; } Secret .-once { display: none; }"

    def __init__(self, shortest: int) -> None:
        """`shortest` is how many characters a new one must have."""
        super().__init__(id="passphrase")
        self._shortest = shortest
        self._twice = False

    def compose(self) -> ComposeResult:
        for name, label in (("secret", "Secret"), ("again", "Again")):
            with Horizontal(classes="field -once" if name == "again" else "field"):
                yield Static(label, classes="muted field-label")
                yield Box(
                    id=name, compact=True, password=True, max_length=LONGEST,
                    placeholder="the passphrase" if name == "secret" else "once more",
                )  # fmt: skip

    def on_mount(self) -> None:
        for box in self.query(Input):
            box.cursor_blink = False

    def ask(self, *, shown: bool, twice: bool = False) -> None:
        """Show it or hide it; what was typed goes when it is hidden."""
        self.display, self._twice = shown, twice
        self.query("Horizontal").last().set_class(not twice, "-once")
        if not shown:
            for box in self.query(Input):
                box.value = ""

    @property
    def value(self) -> str:
        """What was typed; empty while it is hidden."""
        return self.query_one("#secret", Input).value if self.display else ""

    @property
    def trouble(self) -> str:
        """Why it cannot be used yet; empty where it can, or where none is asked for."""
        if not self.display:
            return ""
        if not self._twice:
            return "" if self.value else "Type its passphrase."
        if len(self.value) < self._shortest:
            return f"A passphrase has at least {self._shortest} characters."
        same = self.query_one("#again", Input).value == self.value
        return "" if same else "Type it once more: without it nobody can open the bundle."

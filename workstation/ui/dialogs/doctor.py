"""What this computer has for virtual machines, and how to mend what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Static

from workstation.model.text import safe, safe_line
from workstation.ui.dialogs.dialog import Dialog

if TYPE_CHECKING:
    from workstation.model.host import Finding

SIGNS = {
    "ok": ("●", "$text-success", "fine"),
    "note": ("◌", "$text-warning", "could be better"),
    "problem": ("!", "$text-error", "missing"),
}


class DoctorDialog(Dialog[None]):
    AUTO_FOCUS = "#close"

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(cancelled=None)
        self._findings = findings

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-large") as frame:
            frame.border_title = "This computer"
            with VerticalScroll(id="body", can_focus=False):
                for finding in self._findings:
                    yield from _finding(finding)
            with Horizontal(id="buttons"):
                yield Button("Close", id="close")

    @on(Button.Pressed)
    def _close(self) -> None:
        self.dismiss(None)


def _finding(finding: Finding) -> ComposeResult:
    glyph, style, _ = SIGNS[finding.level]
    with Horizontal(classes="finding"):
        yield Static(Content.styled(glyph, style), classes="sign")
        yield Static(Content.styled(safe_line(finding.subject), "bold"), classes="subject")
        parts: list[Content | tuple[str, str]] = [Content(safe(finding.text))]
        if finding.mend:
            parts.append(("\n→ " + safe(finding.mend), "$text-accent"))
        yield Static(Content.assemble(*parts), classes="finding-text")

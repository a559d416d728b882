"""What every dialog has: a frame in the middle, Escape, arrows between its buttons."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from workstation.model.text import safe
from workstation.ui.leaving import LeftOnce

Result = TypeVar("Result")

STYLES = str(Path(__file__).with_name("dialog.tcss"))
"""Absolute: dialogs in other rooms have it too."""


class Dialog(LeftOnce[Result], ModalScreen[Result]):
    """Dismissed by Escape with `cancelled`."""

    CSS_PATH: ClassVar[str | PurePath | list[str | PurePath] | None] = STYLES
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Close", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
        # Before the box that is typed in: what is typed right after Tab is for the next one.
        Binding("tab", "app.focus_next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
    ]

    def __init__(self, cancelled: Result) -> None:
        super().__init__()
        self._cancelled = cancelled

    def action_cancel(self) -> None:
        self.dismiss(self._cancelled)


def paragraphs(texts: Iterable[str], *, classes: str = "") -> Iterable[Static]:
    """A widget each; the texts may come from anywhere."""
    for text in texts:
        if text:
            yield Static(Content(safe(text)), classes=f"paragraph {classes}")


def sentence(text: str) -> str:
    """With a capital, unless it starts with a name, and a full stop where it has no end mark."""
    text = text.strip()
    first = text.split(maxsplit=1)[0] if text else ""
    if first.isalpha():
        text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".!?…:" or "\n" in text else f"{text}."

"""The line above the list in which one types what to look for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from workstation.ui.widgets.boxes import Box

if TYPE_CHECKING:
    from workstation.model.machine import MachineView


class FilterBox(Box):
    """Filters as it is typed in; Enter keeps the filter, Escape drops it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "drop", show=False),
        Binding("down,up", "keep", show=False),
    ]

    class Kept(Message):
        """Back to the list, with the filter in force."""

    class Dropped(Message):
        """Back to the list, with everything in it."""

    def __init__(self) -> None:
        super().__init__(placeholder="name, state or tag", compact=True, select_on_focus=False)
        self.cursor_blink = False  # a screen at rest is not painted

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_keep()

    def action_keep(self) -> None:
        self.post_message(self.Kept() if self.value.strip() else self.Dropped())

    def action_drop(self) -> None:
        self.post_message(self.Dropped())

    def on_blur(self, event: events.Blur) -> None:
        if not self.value.strip():
            self.post_message(self.Dropped())


def matches(view: MachineView, text: str) -> bool:
    """Whether every word of `text` is part of the machine's name, state or tags."""
    tags = view.profile.tags if view.profile else ()
    problem = "problem" if view.problem else ""
    haystack = " ".join((view.name, view.state, problem, *tags)).casefold()
    return all(word in haystack for word in text.casefold().split())

"""What text is typed into: each key is done before the next is looked at."""

from __future__ import annotations

from functools import cache

from textual import events
from textual.binding import Binding
from textual.widget import Widget
from textual.widgets import Input, TextArea


class InOrder(Widget):
    """A character is typed where it comes to a box, but a key with a binding (backspace, ctrl+u, an
    arrow) is done when it has come up to the program, by the box that has the keyboard then: over
    a slow line both come in one go, and backspace would take away what was typed after it, or in
    the next box."""

    async def on_key(self, event: events.Key) -> None:
        action = "" if event.is_printable else _bound(type(self)).get(event.key, "")
        if action and await self.app.run_action(action, self):
            event.stop()
            event.prevent_default()


@cache
def _bound(box: type[Widget]) -> dict[str, str]:
    """What its keys do: of a class, before what it inherits."""
    bound: dict[str, str] = {}
    for kind in reversed(box.__mro__):
        own = Binding.make_bindings(kind.__dict__.get("BINDINGS", ()))
        bound |= {binding.key: binding.action for binding in own}
    return bound


class Box(Input, InOrder):
    """For a line."""


class Editor(TextArea, InOrder):
    """For a text."""

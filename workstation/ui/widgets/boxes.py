"""What text is typed into: each key is done before the next is looked at."""

from __future__ import annotations

from textual import events
from textual.widget import Widget
from textual.widgets import Input, TextArea


class InOrder(Widget):
    """A character is typed where it comes to a box, but a key with a binding (backspace, ctrl+u, an
    arrow) is done when it has come up to the program: over a slow line both come in one go, and
    backspace would take away what was typed after it."""

    async def on_key(self, event: events.Key) -> None:
        if event.is_printable:
            return
        found = self.screen.active_bindings.get(event.key)
        if found and found.node is self and found.enabled:
            event.stop()
            event.prevent_default()
            await self.run_action(found.binding.action)


class Box(Input, InOrder):
    """For a line."""


class Editor(TextArea, InOrder):
    """For a text."""

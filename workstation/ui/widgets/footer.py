"""The line at the bottom: what can be done now, each to be clicked too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual import events
from textual.content import Content
from textual.style import Style

from workstation.ui.widgets.lines import Bar


class Key(NamedTuple):
    key: str
    label: str
    action: str
    help: str = ""


class Footer(Bar):
    """As many keys as fit, the first ones first; the pinned ones always."""

    ALLOW_SELECT = False
    keys: Sequence[Key] = ()
    pinned: Sequence[Key] = ()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The tooltip is the help of the command under the mouse."""
        action = event.style.meta.get("@click")
        found = [key.help for key in (*self.keys, *self.pinned) if key.action == action]
        self.tooltip = Content(found[0]) if found and found[0] else None

    def offer(self, keys: Sequence[Key], pinned: Sequence[Key]) -> None:
        if (keys, pinned) != (self.keys, self.pinned):
            self.keys, self.pinned = keys, pinned
            self._lay_out()

    def _lay_out(self) -> None:
        right = Content("").join([_item(key) for key in self.pinned])
        room = self.size.width - right.cell_length
        left = Content()
        for key in self.keys:
            item = _item(key)
            if left.cell_length + item.cell_length > room:
                break
            left += item
        self.show([left.pad_right(max(0, room - left.cell_length)) + right])


def _item(key: Key) -> Content:
    click = Style.from_meta({"@click": key.action})
    item = Content.assemble((f" {key.key}", "bold $footer-key-foreground"), f" {key.label} ")
    return item.stylize(click)

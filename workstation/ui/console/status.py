"""The one line below the guest's terminal: machine, state, what is special, how to leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from workstation.core.session import Link
from workstation.model.text import safe_line
from workstation.ui.widgets.details import state_of

if TYPE_CHECKING:
    from workstation.ui.console.screen import ConsoleScreen

_LINKS = {
    Link.CONNECTING: ("connecting …", "$text-muted"),
    Link.TAKEN: ("another console has the line: reading along", "$text-warning"),
    Link.NONE: ("it has no serial line (devices.serial)", "$text-warning"),
    Link.OFF: ("not running", "$text-muted"),
}


def left_of(screen: ConsoleScreen) -> Content:
    """Who, how it does, and what there is to say of the line."""
    view = screen.view
    if view is None:
        return Content()
    name = Content.styled(f" {safe_line(view.name, limit=60)}  ", "bold")
    parts = [name, state_of(view, screen.outside.now()), Content("  ")]
    look = screen.terminal.look
    if look:
        count = f"{look.below:,} rows below" if look.below else "at the end"
        parts.append(Content.styled(f"looking back, {count}", "bold $text-accent"))
    elif screen.can_start:
        parts.append(Content.styled("enter starts it", "bold $footer-key-foreground"))
    elif screen.session.link in _LINKS:
        parts.append(Content.styled(*_LINKS[screen.session.link]))
    elif title := safe_line(screen.terminal.emulator.title, limit=60):
        parts.append(Content.styled(title, "$text-muted"))
    return Content("").join(parts)


def right_of(screen: ConsoleScreen) -> Content:
    """The size, and the keys that are ours now."""
    settings, look = screen.station.settings, screen.terminal.look
    if look:
        keys = [("/", "search"), ("n", "next")] if screen.commanding else [("↑↓", "move")]
        keys += [("y", "copy"), ("esc", "back")]
    else:
        keys = [(settings.menu_key, "menu"), (settings.leave_key, "leaves")]
    size = f"{screen.terminal.size.width}x{screen.terminal.size.height} "
    parts = [Content.styled(size, "$text-muted")]
    for key, label in keys:
        parts.append(Content.assemble((f" {key}", "bold $footer-key-foreground"), f" {label} "))
    return Content("").join(parts)

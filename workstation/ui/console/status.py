"""The one line below the guest's terminal: machine, state, what is special, how to leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from workstation.core.serial.session import Link
from workstation.model.text import safe_line
from workstation.ui.guest_keys import hints
from workstation.ui.looks import look_of
from workstation.ui.widgets.details import state_of

if TYPE_CHECKING:
    from workstation.ui.console.screen import ConsoleScreen

_LINKS = {
    Link.CONNECTING: ("connecting …", "$text-muted"),
    Link.TAKEN: ("read only: another console", "$text-warning"),
    Link.NONE: ("it has no serial line", "$text-warning"),
    Link.OFF: ("not running", "$text-muted"),
}


def left_of(screen: ConsoleScreen) -> Content:
    """Who, how it does, and what there is to say of the line; the most telling where room is
    scarce."""
    view = screen.view
    if view is None:
        return Content()
    name = Content.styled(f" {safe_line(view.name, limit=40)}  ", "bold")
    news = _news(screen)
    if news:
        look = look_of(view)
        return Content.assemble(name, (f"{look.glyph} {look.word}  ", look.style), news)
    title = safe_line(screen.terminal.emulator.title, limit=60)
    state = state_of(view, screen.outside.now())
    return Content.assemble(name, state, (f"  {title}" if title else "", "$text-muted"))


def _news(screen: ConsoleScreen) -> Content | None:
    look = screen.terminal.look
    if look:
        count = f"{look.below:,} rows" if look.below else "at the end"
        return Content.styled(f"looking back {count}", "bold $text-accent")
    if screen.can_start:
        return Content.styled("enter starts it", "bold $footer-key-foreground")
    if screen.session.link in _LINKS:
        return Content.styled(*_LINKS[screen.session.link])
    return None


def right_of(screen: ConsoleScreen) -> Content:
    """The size, and the keys that are ours now."""
    settings, look = screen.station.settings, screen.terminal.look
    size = screen.terminal.size
    parts = []
    if not _news(screen):
        parts.append(Content.styled(f"{size.width}x{size.height} ", "$text-muted"))
    if look and screen.commanding:
        keys = [("/", "search"), ("n", "next"), ("y", "copy"), ("esc", "back")]
    elif look:
        keys = [("y", "copy"), ("esc", "back")] if look.marked else [("esc", "back")]
    else:
        keys = [(settings.leave_key, "leave"), (settings.menu_key, "menu")]
    return Content("").join([*parts, hints(keys)])

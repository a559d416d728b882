"""The one line below a guest's screen: machine, state, how it is drawn, how to leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from workstation.model.text import safe_line
from workstation.ui.guest_keys import hints
from workstation.ui.looks import look_of

if TYPE_CHECKING:
    from workstation.model.machine import MachineView
    from workstation.ui.screen.guest import GuestScreen


def left_of(screen: GuestScreen, view: MachineView) -> Content:
    """Who, how it does, what is seen, and the modifiers that are held."""
    look = look_of(view)
    parts = [
        Content.styled(f" {safe_line(view.name, limit=30)} ", "bold"),
        Content.styled(f" {look.glyph} {look.word} ", look.style),
        Content.styled(f" {_about(screen)} ", "$text-muted"),
    ]
    if screen.held:
        parts.append(Content.styled(f" {'+'.join(sorted(screen.held))}+ ", "bold $text-warning"))
    return Content("").join(parts)


def _about(screen: GuestScreen) -> str:
    look = screen.look
    if look is None or look.canvas is None:
        return ""
    words = [f"{look.canvas.width}×{look.canvas.height}", screen.guest.drawn_as]
    words += [] if look.absolute else ["mouse moves by steps"]
    words += ["CAPS"] if look.caps_lock else []
    return " · ".join(words)


def right_of(screen: GuestScreen) -> Content:
    """The keys that are ours now."""
    settings = screen.station.settings
    if screen.guest.grabbed:
        return hints([(settings.leave_key, "leave"), (settings.menu_key, "menu")])
    return hints([("arrows", "move"), ("z", "zoom"), ("g", "grab"), ("esc", "leave")])

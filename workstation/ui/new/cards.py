"""The first step: a card for each profile, and the other things a machine can be made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from workstation.model.text import safe_line
from workstation.ui.widgets.options import Options

if TYPE_CHECKING:
    from workstation.profile.catalog import ProfileEntry

SOURCES = {
    "image": ("Image …", "Debian, Fedora, Alpine…: downloaded; or one of yours"),
    "disc": ("Disc (ISO) …", "an empty disk, and an installer in the drive"),
    "disk": ("Disk file …", "a copy of a disk image of yours"),
    "clone": ("Another machine …", "a branch of it, as it is now"),
    "profiles": ("Profile file …", "a YAML file, or a directory of them"),
}


class Cards(Options):
    """Profiles first: Enter on the first makes the default."""

    class Chosen(Message):
        """A profile by name, or a key of SOURCES."""

        def __init__(self, profile: str = "", source: str = "") -> None:
            super().__init__()
            self.profile, self.source = profile, source

    def __init__(self, entries: Sequence[ProfileEntry]) -> None:
        self._entries = entries
        options = [card(entry.name, entry.problem or entry.description) for entry in entries]
        super().__init__(*options, None, *_sources(), id="cards")

    @property
    def entry(self) -> ProfileEntry | None:
        """The profile under the cursor; None on another source."""
        row = self.highlighted
        return self._entries[row] if row is not None and row < len(self._entries) else None

    @on(OptionList.OptionSelected)
    def _select(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        entry = self.entry
        if entry:
            self.post_message(self.Chosen(profile=entry.name))
        else:
            self.post_message(self.Chosen(source=event.option_id or ""))


def card(name: str, text: str, id: str | None = None, *, usable: bool = True) -> Option:
    """A line; what has no room is cut off by the list."""
    line = Content.assemble(
        (f"{safe_line(name, limit=24):<18} ", "bold"),
        (safe_line(text, limit=160), "$text-muted"),
    )
    return Option(line, id=id, disabled=not usable)


def _sources() -> Iterator[Option]:
    for key, (name, text) in SOURCES.items():
        yield card(name, text, id=key)

"""The menu of a guest's screen: what a terminal cannot type, and how the screen is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from workstation.model.text import safe_line
from workstation.ui.dialogs.dialog import Dialog
from workstation.ui.guest_keys import textual_key
from workstation.ui.widgets.lines import plain_title
from workstation.ui.widgets.options import Options


class Item(NamedTuple):
    key: str
    """Chooses it at once."""
    label: str
    action: str
    """`press CHORD`, `hold MODIFIER`, or a word that the screen knows."""
    on: bool | None = None
    """Whether a switch is on; None where it is none."""


KEYS = (
    Item("d", "ctrl+alt+del", "press ctrl-alt-del"),
    *(Item(f"f{number}", f"ctrl+alt+F{number}", f"press ctrl-alt-f{number}")
      for number in range(1, 13)),
    Item("p", "Print", "press print"),
    Item("w", "Super", "press super"),
    Item("b", "ctrl+alt+backspace", "press ctrl-alt-backspace"),
    Item("t", "alt+tab", "press alt-tab"),
)  # fmt: skip


def items(
    *, held: frozenset[str], grabbed: bool, zoom: str, text: bool, own_keys: tuple[str, str]
) -> Iterator[Item | None]:
    """The menu's lines; None is a line between."""
    yield Item("q", "Leave", "leave")
    yield Item("?", "Help", "help")
    yield Item("g", "Keys and mouse go to the guest", "grab", grabbed)
    yield Item("z", f"Zoom: {zoom}", "zoom")
    yield Item("x", "Read text, where the guest shows text", "text", text)
    yield Item("s", "Ask the guest for a screen that fits this pane", "size")
    yield None
    for key, word in (("c", "ctrl"), ("a", "alt"), ("h", "shift"), ("u", "super")):
        yield Item(key, f"Hold {word} for the next key", f"hold {word}", word in held)
    yield None
    yield from KEYS
    for key, chord in zip(("1", "2"), own_keys, strict=True):
        yield Item(key, f"{chord}, which is taken here", f"press {chord}")


class Menu(Dialog[str]):
    """Answers the action that was chosen; empty for none."""

    AUTO_FOCUS = "OptionList"

    def __init__(self, title: str, lines: Iterable[Item | None], menu_key: str) -> None:
        """`menu_key`, as the settings have it, goes to the guest when it is pressed once more."""
        super().__init__(cancelled="")
        self._title, self._lines, self._menu_key = title, list(lines), menu_key
        self._items = [item for item in self._lines if item]

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-menu") as frame:
            plain_title(frame, safe_line(self._title, limit=60))
            yield Options(*(item and _line(item) for item in self._lines), markup=False)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._items[event.option_index].action)

    def on_key(self, event: events.Key) -> None:
        for item in self._items:
            if item.key in (event.key, event.character):
                self.dismiss(item.action)
        if event.key == textual_key(self._menu_key):
            self.dismiss(f"press {self._menu_key}")


def _line(item: Item) -> Option:
    mark = {None: "  ", True: "● ", False: "○ "}[item.on]
    key = (f"{item.key:<5}", "bold $footer-key-foreground")
    return Option(Content.assemble(key, mark, safe_line(item.label)))

"""A new machine: a profile, a name, made and started. Three Enters for the default."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from workstation.errors import WorkstationError
from workstation.model.text import safe_line
from workstation.model.units import format_size
from workstation.ui.dialogs.dialog import Dialog

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.profile import Profile
    from workstation.profile.catalog import ProfileEntry


class Wish(NamedTuple):
    name: str
    profile: Profile
    based_on: str
    start: bool


class NewDialog(Dialog[Wish | None]):
    """Answers what to make, or None."""

    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "make(True)", show=False)]

    cards = getters.query_one("#profiles", OptionList)
    facts = getters.query_one("#facts", Static)
    name_box = getters.query_one("#name", Input)
    trouble = getters.query_one("#trouble", Static)

    def __init__(self, station: Workstation) -> None:
        super().__init__(cancelled=None)
        self._station = station
        self._entries: list[ProfileEntry] = station.profiles()
        self._profile: Profile | None = None
        self._problem = ""
        self._suggested = ""

    def on_mount(self) -> None:
        self.name_box.cursor_blink = False

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-large") as frame:
            frame.border_title = "New machine"
            yield Static("Profile", classes="muted")
            yield OptionList(*(_card(entry) for entry in self._entries), id="profiles")
            yield Static(id="facts", classes="paragraph muted")
            with Horizontal(id="naming"):
                yield Static("Name", classes="muted", id="name-label")
                yield Input(id="name", compact=True, max_length=60)
            yield Static(id="trouble")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Create", id="create")
                yield Button("Create and start", id="start")

    @property
    def _entry(self) -> ProfileEntry | None:
        row = self.cards.highlighted
        return None if row is None else self._entries[row]

    @on(OptionList.OptionHighlighted)
    def _choose(self) -> None:
        entry = self._entry
        if entry is None:
            return
        try:
            self._profile, self._problem = self._station.load_profile(entry.name), ""
        except WorkstationError as error:
            self._profile, self._problem = None, str(error)
        self.facts.update(Content(_facts(self._profile) if self._profile else ""))
        self._suggest(entry.name)
        self._check()

    def _suggest(self, name: str) -> None:
        """A free name after the profile's, unless the person has typed one."""
        if self.name_box.value in ("", self._suggested):
            self._suggested = free_name(name, self._station.machines)
            self.name_box.value = self._suggested

    @on(Input.Changed)
    def _check(self) -> None:
        trouble = self._problem or name_trouble(self.name_box.value, self._station)
        self.trouble.update(Content.styled(safe_line(trouble, limit=200), "$text-warning"))
        for button in self.query("#create, #start").results(Button):
            button.disabled = bool(trouble)

    @on(OptionList.OptionSelected)
    def _to_name(self) -> None:
        self.name_box.focus()

    @on(Input.Submitted)
    def _to_buttons(self) -> None:
        self.query_one("#start").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "cancel":
            self.dismiss(None)
        else:
            self.action_make(event.button.id == "start")

    def action_make(self, start: bool) -> None:
        name, entry = self.name_box.value, self._entry
        if entry and self._profile and not name_trouble(name, self._station):
            self.dismiss(Wish(name, self._profile, entry.name, start))


def _card(entry: ProfileEntry) -> Option:
    name = safe_line(entry.name, limit=24)
    description = safe_line(entry.description, limit=160)
    return Option(
        Content.assemble((f"{name:<18} ", "bold"), (description, "$text-muted")).truncate(
            74, ellipsis=True
        )
    )


def _facts(profile: Profile) -> str:
    count = profile.cpu.count
    disks = [format_size(drive.size) for drive in profile.drives if drive.size]
    forwards = [str(forward) for network in profile.networks for forward in network.forwards]
    parts = [
        f"{count} CPU" + "s" * (count > 1),
        f"{format_size(profile.memory)} memory",
        "disk " + " + ".join(disks) if disks else "",
        "opens " + ", ".join(forwards) if forwards else "",
        profile.boot.firmware,
    ]
    return safe_line(" · ".join(part for part in parts if part))


def free_name(wanted: str, taken: Container[str]) -> str:
    """The name itself, or with the first number that makes it free."""
    number, name = 2, wanted
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    return name


def name_trouble(name: str, station: Workstation) -> str:
    """Why a new machine cannot have that name; empty where it can."""
    from workstation.model.profile import NAME_PATTERN

    if not name:
        return "It needs a name."
    if name in station.machines:
        return f"There is a machine “{name}” already."
    if not re.fullmatch(NAME_PATTERN, name):
        return "A name has lower-case letters, digits, “.”, “_” and “-”: 40 at most."
    return ""

"""Where a machine is exported to, how much that writes, and what goes along."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Checkbox, Input, OptionList, Static
from textual.widgets.option_list import Option

from workstation.model.text import safe_line
from workstation.model.units import format_size
from workstation.ui.dialogs.dialog import Dialog, sentence
from workstation.ui.dialogs.secret import Secret
from workstation.ui.widgets.boxes import Box
from workstation.ui.widgets.lines import plain_title
from workstation.ui.widgets.options import Options
from workstation.ui.widgets.tick import Tick

if TYPE_CHECKING:
    from workstation.core.bundle.estimate import Estimate
    from workstation.core.inplace.verbs import Place
    from workstation.core.workstation import Workstation

ENDING = ".vmbundle"

LOOK_SECONDS = 2.0
"""How often it is looked what is plugged in."""


SHORTEST = 8
"""Characters of a passphrase; a test compares it with the core's."""


@dataclass(frozen=True)
class Wish:
    path: Path
    memory: bool
    packed: bool
    """One compact layer without history."""
    passphrase: str = field(default="", repr=False)
    """Empty for a bundle that everybody can read."""


class ExportDialog(Dialog[Wish | None]):
    """Answers what to write, or None. Three Enters for the default."""

    AUTO_FOCUS = "#places"

    list_box = getters.query_one("#places", OptionList)
    path_box = getters.query_one("#path", Input)
    told = getters.query_one("#told", Static)
    medium = getters.query_one("#medium", Static)
    secret = getters.query_one(Secret)

    def __init__(
        self, station: Workstation, machine: str, places: Sequence[Place], *, has_memory: bool
    ) -> None:
        super().__init__(cancelled=None)
        self._station, self._machine, self._has_memory = station, machine, has_memory
        self.places = list(places)
        self._suggested = ""
        self._found: Estimate | None = None
        self.estimated = False
        """Whether what is shown is the size of what is asked for."""

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-large") as frame:
            plain_title(frame, f"Export {safe_line(self._machine, limit=40)}")
            yield Static("To", classes="muted")
            yield Options(*map(_row, self.places), id="places")
            with Horizontal(classes="field"):
                yield Static("File", classes="muted field-label")
                yield Box(id="path", compact=True, max_length=1000)
            yield Static(id="medium", classes="muted")
            with Horizontal(id="what"):
                if self._has_memory:
                    yield Tick("with memory", True, id="memory", compact=True)
                yield Tick("packed, no history", False, id="packed", compact=True)
                yield Tick("encrypted", False, id="encrypt", compact=True)
            yield Secret(SHORTEST)
            yield Static(id="told")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Export", id="yes")

    def on_mount(self) -> None:
        self.path_box.cursor_blink = False
        self.set_interval(LOOK_SECONDS, self._look)

    @property
    def wish(self) -> Wish:
        """What is asked for as it stands."""
        boxes = {box.id: box.value for box in self.query(Checkbox)}
        path = Path(self.path_box.value.strip()).expanduser().absolute()
        return Wish(path, boxes.get("memory", True), boxes["packed"], self.secret.value)

    # -- where to -------------------------------------------------------------

    @work(group="media", exclusive=True, exit_on_error=False)
    async def _look(self) -> None:
        """What was plugged in since then is chosen, or else what was chosen before."""
        places = await asyncio.to_thread(self._station.inplace.places)
        if places != self.places:
            before = [place.path for place in self.places]
            paths = [place.path for place in places]
            added = [path for path in paths if path not in before]
            wanted = (added or [before[self.list_box.highlighted or 0]])[0]
            self.places = places
            self.list_box.clear_options()
            self.list_box.add_options(map(_row, places))
            self.list_box.highlighted = paths.index(wanted) if wanted in paths else 0

    @on(OptionList.OptionHighlighted)
    def _choose(self) -> None:
        row = self.list_box.highlighted
        if row is not None and self.path_box.value == self._suggested:
            self._suggested = str(self.places[row].path / f"{self._machine}{ENDING}")
            self.path_box.value = self._suggested

    @on(OptionList.OptionSelected)
    def _to_buttons(self) -> None:
        row = self.list_box.highlighted or 0
        self._suggested = str(self.places[row].path / f"{self._machine}{ENDING}")
        self.path_box.value = self._suggested
        self.query_one("#yes").focus()

    # -- how much -------------------------------------------------------------

    @on(Input.Changed, "#path")
    @on(Checkbox.Changed, "#memory,#packed")
    def _changed(self) -> None:
        self.estimated = False
        self._estimate()

    @on(Checkbox.Changed, "#encrypt")
    def _encrypt(self, event: Checkbox.Changed) -> None:
        self._show()
        if event.value and self.secret.display:
            self.query_one("#secret").focus()

    @on(Input.Changed, "#secret,#again")
    def _typed(self) -> None:
        self._show()

    @work(group="estimate", exclusive=True, exit_on_error=False)
    async def _estimate(self) -> None:
        from workstation.core.bundle.export import Wish as Words

        wish = self.wish
        words = Words(memory=wish.memory, flatten=wish.packed, compress=wish.packed)
        found = await asyncio.to_thread(
            self._station.inplace.estimate, self._machine, wish.path, words
        )
        self._found = found
        self.estimated = True
        self._show()

    def _show(self) -> None:
        """What is known by now, and whether it can begin."""
        found = self._found
        if not found:
            return
        asked = self.query_one("#encrypt", Checkbox)
        asked.disabled = found.locked or bool(found.kept)
        self.secret.ask(
            shown=found.locked or (asked.value and not found.kept), twice=not found.locked
        )
        trouble = found.trouble or self.secret.trouble
        self.medium.update(Content(" · ".join(_medium(found))))
        self.told.update(_told(found, self.secret.trouble, packed=self.wish.packed))
        self.query_one("#yes").disabled = bool(trouble)

    # -- the answer -----------------------------------------------------------

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "secret" and self.secret.trouble:
            self.query_one("#again").focus()
            return
        button = self.query_one("#yes", Button)
        if self.estimated and not button.disabled:
            self.dismiss(self.wish)
        else:
            button.focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(self.wish if event.button.id == "yes" else None)


_FAT = ("vfat", "msdos")


def filesystem(name: str) -> str:
    """As it is called where it is bought: `vfat` is FAT32 to everybody."""
    return "FAT32" if name in _FAT else safe_line(name, limit=8)


def _medium(found: Estimate) -> Iterator[str]:
    """What the file would lie on."""
    medium = found.medium
    if not medium:
        return
    yield f"{safe_line(medium.name, limit=20)}: {filesystem(medium.filesystem)}"
    yield f"{format_size(medium.free)} free"
    if medium.largest_file:
        yield "4 GiB a file at most"
    if medium.removable:
        yield "can be pulled out once it is written"


def _row(place: Place) -> Option:
    """`STICK         vfat     28.1 GiB free   /media/me/STICK`"""
    free = f"{format_size(place.free)} free" if place.writable else "read only"
    return Option(
        Content.assemble(
            (f"{safe_line(place.name, limit=20):<20} ", "bold"),
            (f"{filesystem(place.filesystem):<8} {free:<15} ", ""),
            (safe_line(str(place.path), limit=60), "$text-muted"),
        ).truncate(76, ellipsis=True)
    )


def _told(found: Estimate, secret: str, *, packed: bool) -> Content:
    if found.trouble:
        lines = [Content.styled(sentence(safe_line(found.trouble, limit=300)), "$text-warning")]
        if found.mend:
            lines.append(Content.styled(f"→ {safe_line(found.mend, limit=300)}", "$text-accent"))
        return Content("\n").join(lines)
    memory = f", {format_size(found.memory)} of them memory" if found.memory else ""
    if secret:
        return Content.styled(secret, "$text-warning")
    if found.locked:
        text = (
            f"It is there already, with {format_size(found.kept)}, behind a passphrase: only what"
            " is new is added."
        )
    elif found.kept:
        text = (
            f"It is there already, with {format_size(found.kept)}: only what is new is added,"
            f" {format_size(found.new)}{memory}."
        )
    else:
        about = "At most " if packed else "About " if found.memory else ""
        text = f"{about}{format_size(found.new)} will be written{memory}."
    return Content(text)

"""A bundle before it runs: what is in it, from whom, and what this computer lacks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from workstation.errors import LockedError, WorkstationError
from workstation.model.text import safe_line
from workstation.ui.dialogs.dialog import Dialog
from workstation.ui.dialogs.opening import of_bundle, of_foreign, trouble
from workstation.ui.dialogs.secret import Secret
from workstation.ui.widgets.boxes import Box
from workstation.ui.widgets.options import Options
from workstation.ui.widgets.screen_picture import ScreenPicture

if TYPE_CHECKING:
    from workstation.core.bundle.inspection import Report
    from workstation.core.foreign.look import Looked
    from workstation.core.workstation import Workstation


@dataclass(frozen=True)
class Wish:
    how: str
    """`run`, `settle`, `update` or `import`."""
    path: Path
    report: Report | None
    """None for a file of another program."""
    passphrase: str = field(default="", repr=False)


LOCKED = "It is behind a passphrase: type it, then Enter."

NOTHING = (
    "No bundle on what is plugged in, nor in your home directory. Type the path of one,"
    " or of an OVA or a disk image."
)


class OpenDialog(Dialog[Wish | None]):
    """Answers what to do with which bundle, or None."""

    AUTO_FOCUS = "#bundles"

    list_box = getters.query_one("#bundles", OptionList)
    picture = getters.query_one(ScreenPicture)
    path_box = getters.query_one("#path", Input)
    facts = getters.query_one("#facts", Static)
    secret = getters.query_one(Secret)

    def __init__(self, station: Workstation, bundles: Sequence[Path], path: Path | None) -> None:
        super().__init__(cancelled=None)
        self._station, self._bundles = station, list(bundles)
        if path and path not in self._bundles:
            self._bundles.insert(0, path)
        self._first = self._bundles.index(path) if path else 0
        self._suggested = ""
        self.report: Report | None = None
        self.looked_at: Looked | None = None
        """What is known of another program's file."""
        self._meant = Path()
        """The file that was looked at: of a directory its one bundle."""
        self.looked = not self._bundles
        """Whether what is shown is of the path that is typed."""

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-large") as frame:
            frame.border_title = "Open"
            with Horizontal(id="top"):
                yield Options(*map(_row, self._bundles), id="bundles")
                yield ScreenPicture()
            with Horizontal(classes="field"):
                yield Static("File", classes="muted field-label")
                yield Box(id="path", compact=True, max_length=1000)
            yield Secret(0)
            with VerticalScroll(id="told", can_focus=False):
                yield Static(id="facts")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Import", id="import")
                yield Button("Update", id="update")
                yield Button("Run and settle in", id="settle")
                yield Button("Run from here", id="run")

    def on_mount(self) -> None:
        self.path_box.cursor_blink = False
        self.picture.put(None, " ")
        self._show(Content() if self._bundles else Content.styled(NOTHING, "$text-muted"))
        if self._bundles:
            self.list_box.highlighted = self._first
        else:
            self.path_box.focus()

    # -- which ----------------------------------------------------------------

    @on(OptionList.OptionHighlighted)
    def _choose(self) -> None:
        row = self.list_box.highlighted
        if row is not None:
            self._suggested = str(self._bundles[row])
            self.path_box.value = self._suggested

    @on(Input.Changed, "#path")
    def _changed(self) -> None:
        self.looked = False
        self.secret.ask(shown=False)
        self._look()

    @on(OptionList.OptionSelected)
    @on(Input.Submitted, "#path")
    def _to_buttons(self) -> None:
        if self.secret.display and not self.report:
            self.query_one("#secret").focus()
        else:
            self._to_button()

    def _to_button(self) -> None:
        """To the first thing that can be done."""
        for name in ("run", "update", "import"):
            button = self.query_one(f"#{name}", Button)
            if button.display and not button.disabled:
                button.focus()
                return

    @on(Input.Submitted, "#secret")
    def _unlock(self) -> None:
        self.looked = False
        self._look()

    # -- what it is -----------------------------------------------------------

    @work(group="look", exclusive=True, exit_on_error=False)
    async def _look(self) -> None:
        path = self._path()
        try:
            await self._read(path)
        except WorkstationError as error:
            self._show(trouble(error))
        self.looked = True

    async def _read(self, path: Path) -> None:
        station = self._station
        path = self._meant = await asyncio.to_thread(station.foreign.meant, path)
        kind = await asyncio.to_thread(station.foreign.recognise, path)
        if kind != "bundle":
            looked = await station.foreign.look(path)
            self._show(Content("\n").join(of_foreign(looked)), looked=looked)
            return
        passphrase = self.secret.value
        try:
            report = await station.carry.inspect(path, passphrase=passphrase)
        except LockedError:
            self.secret.ask(shown=True)
            self._show(Content.styled(LOCKED, "$text-accent"))
            return
        self._show(Content("\n").join(of_bundle(report)), report)
        shot = await asyncio.to_thread(station.inplace.picture, report, passphrase)
        self.picture.put(shot, "" if shot else "no picture")
        if passphrase:
            self._to_button()

    def _path(self) -> Path:
        return Path(self.path_box.value.strip()).expanduser()

    def _show(
        self, told: Content, report: Report | None = None, looked: Looked | None = None
    ) -> None:
        """What is known of the file, and what can be done with it."""
        self.report, self.looked_at = report, looked
        self.facts.update(told)
        if report is None:
            self.picture.put(None, " ")
        can = _possible(report, looked)
        for name in ("import", "update", "settle", "run"):
            self.query_one(f"#{name}").disabled = name not in can
        self.query_one("#update").display = "update" in can
        for name in ("settle", "run"):
            self.query_one(f"#{name}").display = looked is None

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        how = event.button.id or ""
        known = self.report or self.looked_at
        wish = Wish(how, self._meant, self.report, self.secret.value)
        self.dismiss(wish if known and how != "cancel" else None)


def _possible(report: Report | None, looked: Looked | None) -> set[str]:
    if looked:
        return set() if looked.problems else {"import"}
    if not report:
        return set()
    found = {"run", "settle"} if report.in_place else set()
    found |= {"update"} if report.updates else set()
    # What holds only what is new makes a machine of its own only where all of the rest is here.
    return found | {"import"}


def _row(path: Path) -> Option:
    name = safe_line(path.name, limit=60)
    return Option(Content(name).truncate(36, ellipsis=True))

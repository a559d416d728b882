"""The history of a machine: its layers as a tree, and what can be done with each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content

from workstation.model.text import safe_line
from workstation.model.units import format_size
from workstation.ui.commands.base import Command, bindings
from workstation.ui.commands.history import COMMANDS
from workstation.ui.desk import Desk
from workstation.ui.feed import Batch, Feed
from workstation.ui.looks import LAYERS, Look
from workstation.ui.past import Past, Row, ago, listed, read_past, standing_on, title_of
from workstation.ui.widgets.activity import ActivityStrip
from workstation.ui.widgets.details import state_of
from workstation.ui.widgets.facts import entry_lines
from workstation.ui.widgets.footer import Footer
from workstation.ui.widgets.layer_list import LayerList
from workstation.ui.widgets.lines import Bar, Lines
from workstation.ui.widgets.screen_picture import ScreenPicture

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.events import Activity
    from workstation.model.layer import Entry
    from workstation.model.machine import MachineView

LOOK = 5.0
"""Seconds between two looks at how much a running machine has written."""


class HistoryScreen(Desk):
    """Read anew, in a thread, whenever the machine's history changes."""

    CSS_PATH = "history.tcss"
    AUTO_FOCUS = "LayerList"
    commands: ClassVar[Mapping[str, Command[Any]]] = COMMANDS
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(COMMANDS),
    ]
    introduction = (
        "The layers that the machine stands on, the newest on top. What it writes goes into “now”;"
        " a snapshot freezes that into a layer, which never changes again. Going back to one drops"
        " what is now, and starts the machine there."
    )

    top = getters.query_one("#history-top", Bar)
    rows = getters.query_one(LayerList)
    picture = getters.query_one(ScreenPicture)
    facts = getters.query_one("#layer-facts", Lines)
    strip = getters.query_one(ActivityStrip)

    def __init__(self, station: Workstation, name: str) -> None:
        super().__init__()
        self.station: Workstation = station
        self.machine = name
        self.past: Past | None = None
        self._feed: Feed | None = None
        self._going: dict[int, Activity] = dict(station.activities)

    # -- what is selected ---------------------------------------------------

    @property
    def view(self) -> MachineView | None:
        return self.station.machines.get(self.machine)

    @property
    def entry(self) -> Entry | None:
        """The selected layer; None where that is the machine as it is now."""
        return self.rows.entry if self.stands else None

    @property
    def row(self) -> Row | None:
        """The selected row of the tree."""
        return self.rows.row if self.stands else None

    @property
    def tag(self) -> str:
        """The selected layer's name; empty where it has none."""
        return self.entry.tags[0] if self.entry and self.entry.tags else ""

    @property
    def going(self) -> list[Activity]:
        return list(self._going.values())

    def signs(self) -> Iterable[Look]:
        return LAYERS

    # -- showing ------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Bar(id="history-top")
        with Horizontal(id="history"):
            yield LayerList()
            with Vertical(id="layer"):
                yield ScreenPicture()
                yield Lines(id="layer-facts")
        yield ActivityStrip(spin=self.program.spin)
        yield Footer()

    def on_mount(self) -> None:
        self._feed = Feed(self.station, lambda batch: self.call_later(self._take, batch))
        self.strip.report(self.going)
        self.set_interval(LOOK, self._look)
        self.read_again()
        self.show_again()

    def on_unmount(self) -> None:
        if self._feed:
            self._feed.close()

    def _take(self, batch: Batch) -> None:
        if self.machine in batch.changed:
            if batch.changed[self.machine] is None:
                self.action_back()
                return
            self.read_again()
            self.show_again()
        if batch.activities:
            self._going |= batch.activities
            self._going = {number: one for number, one in self._going.items() if not one.finished}
            self.strip.report(self.going)
            self.show_again()

    def _look(self) -> None:
        if self.view and self.view.state.live:
            self.read_again()

    @work(group="past", exclusive=True)
    async def read_again(self) -> None:
        """Read the history in a thread, and show it if it is another."""
        past = await asyncio.to_thread(read_past, self.station, self.machine)
        if not self.stands:
            return  # asked for by a command that ended after it
        if past != self.past:
            self.past = past
            self.rows.fill(past, self.outside.now())
        self.show_again()

    def show_again(self) -> None:
        if not self.stands or not self.view:
            return
        name = Content.assemble(
            (" History of ", "$text-muted"), (safe_line(self.machine, limit=60), "bold")
        )
        self.top.put(name, state_of(self.view, self.outside.now()).pad_right(1))
        self.offer()

    @on(LayerList.Moved)
    def _moved(self) -> None:
        self.picture.put(*self._picture())
        self._show_facts()
        self.offer()

    def _picture(self) -> tuple[Any, str]:
        if not self.past or self.past.trouble:
            return None, " "
        if self.entry is None:
            return None, "Now has no picture yet."
        if self.entry.picture:
            return self.entry.picture, ""
        return None, "No picture was taken."

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_facts)

    def _show_facts(self) -> None:
        width = self.facts.size.width
        if self.past and width:
            told = [line for fact in self._told(self.past) for line in entry_lines(*fact, width)]
            self.facts.styles.height = len(told)
            self.facts.show(told)

    def _told(self, past: Past) -> Iterator[tuple[str, Content]]:
        if past.trouble:
            yield "problem", Content.styled(safe_line(past.trouble), "$text-warning")
        elif self.entry is None:
            yield from _of_now(past)
        else:
            yield from _of_layer(self.entry, past, self.outside.now())

    # -- acting -------------------------------------------------------------

    @on(LayerList.Opened)
    def _opened(self) -> None:
        self.action_command("history-revert")

    def action_back(self) -> None:
        self.dismiss(None)


def _of_now(past: Past) -> Iterator[tuple[str, Content]]:
    below = past.below
    yield "now", Content("as it is, in no snapshot")
    yield "written", Content(format_size(past.written) if past.written else "nothing yet")
    yield "on", Content(safe_line(title_of(below[-1]) if below else "blank drives"))


def _of_layer(entry: Entry, past: Past, now: float) -> Iterator[tuple[str, Content]]:
    golden = ("  ◆ golden", "$text-warning") if entry.golden else ""
    yield "name", Content.assemble((safe_line(title_of(entry), limit=100), "bold"), golden)
    if entry.note and entry.tags:
        yield "note", Content(safe_line(entry.note))
    since, moment = ago(entry.created, now), entry.created.astimezone()
    exactly = f"  {moment:%H:%M}" if "-" in since else f"  {moment:%m-%d %H:%M}"
    yield "taken", Content.assemble(since, (exactly, "$text-muted"))
    yield "keeps", _kept(entry)
    shared = (" · shared", "$text-muted") if entry.shared else ""
    yield "size", Content.assemble(format_size(entry.own), shared)
    on_it = standing_on(past, entry)
    yield "on it", Content(safe_line(listed(on_it)) if on_it else "nothing")


def _kept(entry: Entry) -> Content:
    if entry.memory:
        return Content.assemble(("❄ ", "$text-primary"), "disks and memory")
    return Content("disks only")

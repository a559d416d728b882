"""The main screen: the machines, the selected one, what goes on, and what can be done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.timer import Timer
from textual.widgets import Input

from workstation.ui.commands import COMMANDS
from workstation.ui.commands.base import Command, bindings
from workstation.ui.desk import Desk
from workstation.ui.feed import Batch, Feed
from workstation.ui.host_watch import HostWatch
from workstation.ui.looks import LOOKS, PANIC, PROBLEM, Look
from workstation.ui.past import Past, read_past
from workstation.ui.widgets.filter_box import FilterBox, matches
from workstation.ui.widgets.footer import Footer, Key
from workstation.ui.widgets.header import Header
from workstation.ui.widgets.lines import Bar
from workstation.ui.widgets.machine_list import MachineList
from workstation.ui.widgets.notices import (
    NO_MATCH,
    Banner,
    Notice,
    host_problem,
    looking,
    making,
    welcome,
)

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.events import Activity
    from workstation.model.machine import MachineView
    from workstation.ui.widgets.activity import ActivityStrip
    from workstation.ui.widgets.details import Details
    from workstation.ui.widgets.log_pane import LogPane

TICK = 1.0
"""Seconds between two looks at the figures, and at the selected machine's output."""
BOOTING = 20.0
"""Seconds after its start in which a machine's output is looked at four times as often."""
LAYERS_PERIOD = 10.0
"""Seconds between two looks at how much the selected machine has written."""
FOCUS_DELAY = 0.3
"""Seconds that the cursor rests on a machine before its disks are measured, its layers read."""


class LibraryScreen(Desk):
    """Painted empty first; `open` fills it once the machines have been found."""

    AUTO_FOCUS = "MachineList"
    commands: ClassVar[Mapping[str, Command[Any]]] = COMMANDS
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(COMMANDS),
        Binding("escape", "drop_filter", show=False),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (28, "-tall")]  # noqa: RUF012

    introduction = (
        "On the left are your machines, on the right is the one under the cursor: how it does, what"
        " it last said, how to reach it. Machines run on when you leave; the line at the bottom"
        " shows what can be done to the selected one now."
    )

    header = getters.query_one(Header)
    side = getters.query_one("#side", Vertical)
    side_title = getters.query_one("#side-title", Bar)
    machines = getters.query_one(MachineList)
    pane = getters.query_one("#pane", Vertical)
    notice = getters.query_one(Notice)

    def __init__(self) -> None:
        super().__init__()
        self._details: Details | None = None
        self._strip: ActivityStrip | None = None
        self._log: LogPane | None = None
        self._feed: Feed | None = None
        self._host: HostWatch | None = None
        self._activities: dict[int, Activity] = {}
        self._resting: Timer | None = None
        self._warned: set[tuple[str, str]] = set()
        self._pasts: dict[str, tuple[int, Past]] = {}
        """By machine: its history, and the number of that when it was read."""

    @property
    def view(self) -> MachineView | None:
        """The selected machine."""
        return self.machines.selected

    @property
    def is_empty(self) -> bool:
        """Whether there is no machine at all."""
        return not (self.station and self.station.machines)

    @property
    def going(self) -> list[Activity]:
        """Long work that has not ended, oldest first."""
        return list(self._activities.values())

    def signs(self) -> Iterable[Look]:
        return (*LOOKS.values(), PANIC, PROBLEM)

    def compose(self) -> ComposeResult:
        yield Header()
        with Horizontal(id="main"):
            with Vertical(id="side"):
                yield Bar(id="side-title")
                yield MachineList()
            with Vertical(id="pane"):
                yield Notice(looking())
        yield Footer()

    def on_mount(self) -> None:
        self._show_side_title()
        self._show_footer()

    # -- from the workstation -----------------------------------------------

    async def open(self, station: Workstation) -> None:
        """Show what the workstation has found, and follow it from now on."""
        await self._mount_rest()
        self.station = station
        self._host = HostWatch(station, self.outside)
        self._feed = Feed(station, lambda batch: self.call_later(self._take, batch))
        self._activities = dict(station.activities)
        self._show_activities()
        if self._log:
            self._log.add(station.log)
        self.machines.fill(station.machines)
        self._show()
        self.show_usage()
        self._focus_station()
        self.set_interval(TICK, self.tick)
        self.set_interval(TICK / 4, self.tick_of_boot)
        self.set_interval(LAYERS_PERIOD, self.tick_of_layers)
        self.program.mind_host(self._host)
        if self.asked:
            self.action_command(self.asked)

    def close(self) -> None:
        """Follow it no longer."""
        if self._feed:
            self._feed.close()

    async def _mount_rest(self) -> None:
        """What the first frame can do without."""
        from workstation.ui.widgets.activity import ActivityStrip
        from workstation.ui.widgets.details import Details
        from workstation.ui.widgets.log_pane import LogPane

        self._details = Details()
        self._strip = ActivityStrip(spin=self.program.spin)
        self._log = LogPane()
        await self.pane.mount(self._details)
        await self.mount(self._log, self._strip, before=self.footer)

    def _take(self, batch: Batch) -> None:
        if batch.changed:
            self._tell_of_crashes(batch)
            self.machines.update_machines(batch.changed)
            for name in (name for name, view in batch.changed.items() if view is None):
                self._pasts.pop(name, None)
            self._show()
            self.show_usage()
        if batch.samples and self._host:
            self._host.samples = batch.samples  # shown by the next tick, all at once
        if batch.activities:
            self._activities |= batch.activities
            for ended in [work.id for work in self.going if work.finished]:
                del self._activities[ended]
            self._show_activities()
        if batch.logged and self._log:
            self._log.add(batch.logged)
            self._tell_of_warnings(batch)

    def _tell_of_warnings(self, batch: Batch) -> None:
        """Such as that a copy's network is off, or that a port was taken: each of them once."""
        for entry in batch.logged[-3:]:
            told = (entry.machine, entry.text)
            if entry.machine and entry.severity == "warning" and told not in self._warned:
                self._warned.add(told)
                self.program.warn(*told)

    def _tell_of_crashes(self, batch: Batch) -> None:
        for name, view in batch.changed.items():
            before = self.machines.view_of(name)
            if view and before and view.state == "crashed" != before.state:
                self.program.tell_of_crash(view)

    # -- showing ------------------------------------------------------------

    def tick(self) -> None:
        """Show how this computer and the selected machine are doing now."""
        self.show_usage()
        if self._details and self.view and self.view.state.live:
            self._details.show_title(self.outside.now())
            self._show_life(self.view)

    def tick_of_layers(self) -> None:
        """A machine that runs writes into its head, and nobody tells how much."""
        if self.view and self.view.state.live:
            self._read_past(self.view, again=True)
            self._ask_guest(self.view.name)

    def tick_of_boot(self) -> None:
        """A guest that boots prints a lot, and somebody is watching it."""
        view = self.view
        if view and view.state.live and self.outside.now() - view.since < BOOTING:
            self._show_life(view)

    def show_again(self) -> None:
        """A command has ended: what is offered may be different now."""
        if self.stands:
            self._show()

    def _show(self) -> None:
        """The selected machine, or what there is to say without one."""
        view = self.view
        self._show_side_title()
        self._show_footer()
        self.notice.display = view is None
        if self._details:
            self._details.display = view is not None
            if view and view is not self._details.view:
                self._details.show(view, self.past, self.outside.now())
                self._show_life(view)
                self._read_past(view)
        if view is None:
            self.notice.update(self._notice())

    @property
    def past(self) -> Past | None:
        """The selected machine's layers as they were last read; None until they have been."""
        known = self._pasts.get(self.view.name) if self.view else None
        return known[1] if known else None

    def _read_past(self, view: MachineView, *, again: bool = False) -> None:
        """Read the selected machine's layers in a thread, unless nothing can have changed."""
        known = self._pasts.get(view.name)
        if again or known is None or known[0] != view.history:
            self._take_past(view)

    @work(group="past", exclusive=True)
    async def _take_past(self, view: MachineView) -> None:
        await asyncio.sleep(FOCUS_DELAY if view.name not in self._pasts else 0)
        if self.station:
            past = await asyncio.to_thread(read_past, self.station, view.name)
            self._pasts[view.name] = (view.history, past)
            details = self._details
            if details and details.view and details.view.name == view.name:
                with suppress(NoMatches):  # the screens may be on their way out, piece by piece
                    details.show(details.view, past, self.outside.now())

    @work(group="guest", exclusive=True)
    async def _ask_guest(self, name: str) -> None:
        """Its agent says where it is; that comes as a new view."""
        if self.station:
            await self.station.guests.refresh(name)

    def _show_life(self, view: MachineView) -> None:
        if self._details and self.station:
            tail = self.station.serial_tail(view.name, size=16_384)
            self._details.show_life(self.station.samples(view.name), tail)

    def _notice(self) -> Content:
        if self.station is None:
            return looking(self.commands[self.asked].label if self.asked else "")
        if not self.is_empty:
            return NO_MATCH
        return making() if self.program.is_busy("demo") else welcome()

    def _show_side_title(self) -> None:
        total = len(self.station.machines) if self.station else 0
        self.side.set_class(self.station is not None and not total, "-empty")
        shown = self.machines.count
        count = f"{shown} of {total}" if shown != total else str(total or "")
        left = Content.styled(" MACHINES", "bold $text-muted")
        self.side_title.put(left, Content.styled(f"{count} ", "$text-muted"))

    def _show_footer(self) -> None:
        typing = isinstance(self.focused, FilterBox)
        self.offer([Key("enter", "Keep", "screen.keep_filter"), ESCAPE] if typing else None)

    def _show_activities(self) -> None:
        if self._strip:
            self._strip.report(self.going)
            self._show_footer()

    def show_usage(self) -> None:
        if self._host:
            self.header.report(self._host.usage())

    def show_banner(self, problem: tuple[str, str]) -> None:
        """Say above everything what keeps this computer from running machines."""
        self.mount(Banner(host_problem(*problem)), after=self.header)

    # -- the cursor ---------------------------------------------------------

    def go_to(self, name: str) -> None:
        """Put the cursor on a machine, even on one that the filter hides."""
        view = self.station.machines.get(name) if self.station else None
        if view is None:
            return
        self.machines.update_machines({name: view})
        if not self.machines.shows(name):
            self.action_drop_filter()
        self.machines.select(name)
        self._show()

    def toggle_log(self) -> None:
        if self._log:
            self._log.display = not self._log.display

    @on(MachineList.Moved)
    def _moved(self) -> None:
        self._show()
        if self._resting:
            self._resting.stop()
        self._resting = self.set_timer(FOCUS_DELAY, self._focus_station)

    def _focus_station(self) -> None:
        if self.station:
            self.station.focus(self.view.name if self.view else None)
            if self.view and self.view.state.live:
                self._ask_guest(self.view.name)
            self._watch_screen()

    def _watch_screen(self) -> None:
        """Follow the selected machine's screen, unless another screen hides this one."""
        from workstation.core.screen.look import has_display

        view, shown = self.view, self.is_seen
        if self._details and self.station:
            followed = self._details.thumbnail.look
            there = view is not None and view.name in self.station.machines
            wanted = view.name if view and there and shown and has_display(view) else ""
            if wanted != (followed.view.name if followed else ""):
                look = self.station.screens.look(wanted) if wanted else None
                self._details.thumbnail.follow(look)

    @on(events.ScreenSuspend)
    @on(events.ScreenResume)
    def _covered(self) -> None:
        self.call_after_refresh(self._watch_screen)

    @on(MachineList.Opened)
    def _opened(self) -> None:
        for command in ("start", "console"):
            if self.can(COMMANDS[command]):
                self.action_command(command)
                return

    # -- the filter ---------------------------------------------------------

    async def open_filter(self) -> None:
        boxes = self.query(FilterBox)
        if not boxes:
            await self.side.mount(FilterBox(), before=self.machines)
        self.query_one(FilterBox).focus()
        self.call_after_refresh(self._show_footer)

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        event.stop()
        text = event.value
        self.machines.filter(lambda view: matches(view, text))
        self._show()

    @on(FilterBox.Kept)
    def action_keep_filter(self) -> None:
        self.machines.focus()
        self.call_after_refresh(self._show_footer)

    @on(FilterBox.Dropped)
    def action_drop_filter(self) -> None:
        """All machines are shown again, and nothing stands before them."""
        self.app.clear_notifications()
        self.query(FilterBox).remove()
        self.machines.filter(lambda view: True)
        self.machines.focus()
        self._show()
        self.call_after_refresh(self._show_footer)


ESCAPE = Key("esc", "Show all", "screen.drop_filter")

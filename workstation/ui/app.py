"""The Textual application: holds the workstation, runs commands, shows what went wrong."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, work
from textual.app import App
from textual.command import Provider
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.theme import Theme
from textual.worker import Worker, WorkerCancelled, WorkerFailed, WorkerState

from workstation.errors import LockedError
from workstation.model.text import safe, safe_line
from workstation.ui.ahead import Ahead
from workstation.ui.commands.carry import Open
from workstation.ui.desk import Desk
from workstation.ui.library import LibraryScreen
from workstation.ui.outside import Outside
from workstation.ui.themes import DEFAULT, OWN, THEMES

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.machine import MachineView
    from workstation.ui.commands.base import Command
    from workstation.ui.host_watch import HostWatch
    from workstation.ui.screen.terminal import Drain


FIRST_FRAME = 0.03
"""Seconds that the first frame's painting has to itself."""
_KEYED = ("quit", "help_quit", "command_palette")

LEAVING = 5.0
"""Seconds that letting go of the machines may take before the program ends all the same."""


def _palette() -> type[Provider]:
    from workstation.ui.palette import Commands

    return Commands


class WorkstationApp(App[None]):
    """Opens on the library; the Workstation is made and entered after the first frame."""

    TITLE = "Workstation"
    CSS_PATH: ClassVar[str | PurePath | list[str | PurePath] | None] = ["app.tcss", "library.tcss"]
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        make: Callable[[], Workstation],
        file: Path | None = None,
        *,
        outside: Outside | None = None,
        spin: bool = True,
    ) -> None:
        """`make` is called once; `file` is looked into; `outside` and `spin` are fixed by tests."""
        super().__init__()
        self._make = make
        self._file = file
        self._leave = asyncio.Event()
        self._holding: Worker[None] | None = None
        self.outside = outside or Outside()
        self.spin = spin
        self.library = LibraryScreen()
        self.station: Workstation | None = None
        self._ahead = Ahead(self, super().on_event)
        self.drain: Drain | None = None
        """Of the guest's screen that is open: it waits for what the terminal answers."""
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DEFAULT

    def get_default_screen(self) -> Screen[Any]:
        return self.library

    def on_ready(self) -> None:
        """The first frame is laid out; loading the core waits until it is painted as well."""
        self.set_timer(FIRST_FRAME, self._hold)

    def _hold(self) -> None:
        if not self._leave.is_set():
            self._holding = self._hold_station()

    # -- the workstation ----------------------------------------------------

    @work(group="station", exit_on_error=False)
    async def _hold_station(self) -> None:
        """Enter the workstation and leave it in the same task, as its task group needs."""
        await asyncio.to_thread(_import_core)
        _collect_garbage_again()
        async with self._make() as self.station:
            self._wear(self.station.settings.theme)
            await self.library.open(self.station)
            if self._file:
                self.perform(Open(self._file), self.library, "")
            await self._leave.wait()

    # -- the theme ----------------------------------------------------------

    def _wear(self, theme: str) -> None:
        """The theme of the settings, unless the environment names one; a change is kept."""
        if DEFAULT == OWN and theme in self.available_themes:
            self.theme = theme
        self.theme_changed_signal.subscribe(self.library, self._keep_theme)

    def _keep_theme(self, theme: Theme) -> None:
        if self.station and theme.name != self.station.settings.theme:
            self._save_theme(theme.name)

    @work(group="theme", exit_on_error=False)
    async def _save_theme(self, theme: str) -> None:
        if self.station:
            await self.station.keep_theme(theme)

    # -- leaving ------------------------------------------------------------

    async def action_quit(self) -> None:
        """Let go of the machines, and say that they go on."""
        live = self._live()
        self.library.close()
        self._leave.set()
        if self._holding:
            if not self.station:
                self._holding.cancel()
            with suppress(WorkerFailed, WorkerCancelled, TimeoutError):
                await asyncio.wait_for(self._holding.wait(), LEAVING)
        self.exit(message=_farewell(live))

    def _live(self) -> list[str]:
        if not self.station:
            return []
        return [name for name, view in self.station.machines.items() if view.state.live]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The program's keys (ctrl+q, ctrl+p, ctrl+c) are not in the way of a guest's."""
        if action in _KEYED and isinstance(self.screen, Desk) and self.screen.takes_keys:
            return False
        return super().check_action(action, parameters)

    async def on_event(self, event: events.Event) -> None:
        typed = isinstance(event, events.Key | events.Paste)
        if not (typed and self._ahead.holds(event)):
            await super().on_event(event)

    def action_command_palette(self) -> None:
        from workstation.ui.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette())

    # -- commands and their failures ----------------------------------------

    def is_busy(self, *commands: str, machine: str = "") -> bool:
        """Whether one of these commands, or any, is at work on the machine."""
        going = (worker.name.split(" ", 1) for worker in self.workers if not worker.is_finished)
        return any(
            len(words) == 2 and words[1] == machine and (not commands or words[0] in commands)
            for words in going
        )

    def perform(self, command: Command[Any], desk: Desk, name: str) -> None:
        """Run a command for the machine of that name, unless that is going on already."""
        if not self.is_busy(command.id, machine=name):
            self._perform(command, desk).name = f"{command.id} {name}"

    @work(group="host", exit_on_error=False)
    async def mind_host(self, host: HostWatch) -> None:
        """Tell the library what this computer lacks, and how much of it is used."""
        await host.look(self.library)

    @work(group="commands", exit_on_error=False)
    async def _perform(self, command: Command[Any], desk: Desk) -> None:
        try:
            await command.run(desk)
        except LockedError as error:
            if await self._unlocked(error):
                await command.run(desk)

    async def _unlocked(self, error: LockedError) -> bool:
        """Ask for the passphrase of a bundle that a machine reads; whether it was given."""
        from workstation.ui.dialogs.unlock import UnlockDialog

        async def unlock(passphrase: str) -> None:
            if self.station:
                await asyncio.to_thread(self.station.carry.unlock, Path(error.bundle), passphrase)

        return await self.push_screen_wait(UnlockDialog(error.bundle, unlock))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Where every failure of every worker ends up."""
        if event.worker.is_finished:
            for screen in self.screen_stack:
                if isinstance(screen, Desk):
                    screen.show_again()
        error = event.worker.error
        if event.state is not WorkerState.ERROR or error is None:
            return
        fatal = event.worker is self._holding
        self.show_error(error, then=self.exit if fatal else None)

    def on_cursor_position(self) -> None:
        if self.drain:
            self.drain.answered()

    def tell_of_crash(self, view: MachineView) -> None:
        """A machine has crashed by itself; what a command has done tells of itself."""
        if not self.is_busy(machine=view.name):
            text = safe_line(view.reason, limit=200) or "its details say more"
            self.notify(
                text, title=f"{safe_line(view.name)} crashed", severity="error", markup=False
            )

    def warn(self, machine: str, text: str) -> None:
        """Something about a machine that a person should know now."""
        words = safe_line(text, limit=200)
        self.notify(words, title=safe_line(machine), severity="warning", markup=False)

    def show_error(self, error: BaseException, then: Callable[[], object] | None = None) -> None:
        from workstation.ui.dialogs.error import ErrorDialog

        def closed(again: bool | None) -> None:
            if then:
                then()

        self.push_screen(ErrorDialog(error), closed)

    def _handle_exception(self, error: Exception) -> None:
        # A screen that was being built when the program was left has no widgets.
        first = error.error if isinstance(error, WorkerFailed) else error
        if not (self._leave.is_set() and isinstance(first, NoMatches)):
            super()._handle_exception(error)

    def _fatal_error(self) -> None:
        # Textual's own prints a traceback with every local variable.
        error = self._exception
        self.bell()
        what = safe(f"{type(error).__name__}: {error}", limit=500)
        self.exit(
            return_code=1,
            message=f"The screens have failed: {what}\nRunning machines go on.",
        )
        self._close_messages_no_wait()

    def get_key_display(self, binding: Any) -> str:
        return "esc" if binding.key == "escape" else super().get_key_display(binding)


def _import_core() -> None:
    import workstation.core.workstation  # noqa: F401


def _collect_garbage_again() -> None:
    """`run` switched it off; what was loaded by now stays, and need not be looked through."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _farewell(live: list[str]) -> str:
    if not live:
        return "No machine is running."
    names = ", ".join(safe_line(name) for name in live[:3])
    more = f" and {len(live) - 3} more" if len(live) > 3 else ""
    verb = "goes" if len(live) == 1 else "go"
    return f"{names}{more} {verb} on running. “workstation” finds them again."

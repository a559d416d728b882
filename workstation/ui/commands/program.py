"""What can be done besides acting on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from workstation.errors import WorkstationError
from workstation.ui.commands.base import Command

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.ui.desk import Desk
    from workstation.ui.library import LibraryScreen
    from workstation.ui.new.wish import Wish


class Demo(Command["LibraryScreen"]):
    """Make the demo machine if it is not there, start it, and wait until it is ready."""

    id, label, section = "demo", "Start the demo", "Machines"
    keys, shown_key = "enter", "enter"

    def available(self, desk: LibraryScreen) -> bool:
        return desk.station is not None and desk.is_empty

    async def run(self, desk: LibraryScreen) -> None:
        if desk.station:
            desk.go_to(await desk.station.demo())


class New(Command["LibraryScreen"]):
    """Make a machine: from a profile, an image, a disc, or another machine."""

    id, label, section, early = "new", "New", "Machines", True
    keys = shown_key = "n"

    async def run(self, desk: LibraryScreen) -> None:
        from workstation.ui.commands.machine import start

        station = desk.station
        wish = await _made(desk, station) if station else None
        if station and wish:
            desk.go_to(wish.name)
            if wish.start:
                await start(desk, station, wish.name)


async def _made(desk: LibraryScreen, station: Workstation) -> Wish | None:
    """What was wished for and made; what cannot be made can be changed, nothing is typed twice."""
    from workstation.ui.dialogs.error import ErrorDialog
    from workstation.ui.new.dialog import NewDialog

    wish = await desk.app.push_screen_wait(NewDialog(station))
    while wish:
        try:
            await _make(station, wish)
            break
        except WorkstationError as error:
            if not wish.profile:
                raise
            again = await desk.app.push_screen_wait(ErrorDialog(error, again="Change it"))
            wish = await desk.app.push_screen_wait(NewDialog(station, wish)) if again else None
    return wish


async def _make(station: Workstation, wish: Wish) -> None:
    if wish.profile:
        await station.making.create(wish.name, wish.profile, based_on=wish.based_on)
    elif wish.imported:
        await station.foreign.adopt(Path(wish.based_on), wish.name)
    else:
        await station.layers.clone(wish.based_on, wish.name)


class Filter(Command["LibraryScreen"]):
    """Show only machines whose name, state or tags hold a text. Escape shows all again."""

    id, label, section = "filter", "Filter", "Machines"
    keys = shown_key = "/"

    def available(self, desk: LibraryScreen) -> bool:
        return not desk.is_empty

    async def run(self, desk: LibraryScreen) -> None:
        await desk.open_filter()


class Log(Command["LibraryScreen"]):
    """Show or hide the log of events."""

    id, label = "log", "Log"
    keys = shown_key = "l"

    async def run(self, desk: LibraryScreen) -> None:
        desk.toggle_log()


class Cancel(Command["Desk"]):
    """Cancel the long work that is shown first above the footer."""

    id, label = "cancel", "Cancel work"
    keys = shown_key = "x"

    def available(self, desk: Desk) -> bool:
        return any(activity.cancellable for activity in desk.going)

    async def run(self, desk: Desk) -> None:
        desk.action_cancel(next(going.id for going in desk.going if going.cancellable))


class Doctor(Command["LibraryScreen"]):
    """Look at what this computer has for virtual machines, and how to mend what it lacks."""

    id, label, early = "doctor", "Doctor", True
    keys = shown_key = "D"

    async def run(self, desk: LibraryScreen) -> None:
        from workstation.ui.dialogs.doctor import DoctorDialog

        if desk.station:
            desk.app.push_screen(DoctorDialog(await desk.station.findings()))


class Theme(Command["Desk"]):
    """Choose other colours."""

    id, label = "theme", "Theme"

    async def run(self, desk: Desk) -> None:
        desk.app.search_themes()


class Palette(Command["Desk"]):
    """Find any command, or a machine, by typing part of its name."""

    id, label = "palette", "Palette"
    shown_key: ClassVar[str] = "ctrl+p"

    async def run(self, desk: Desk) -> None:
        desk.app.action_command_palette()


class Help(Command["Desk"]):
    """Explain the screen, its signs and its keys."""

    id, label, pinned = "help", "Help", True
    keys = shown_key = "?"

    def available(self, desk: Desk) -> bool:
        return True

    async def run(self, desk: Desk) -> None:
        from workstation.ui.dialogs.help import HelpDialog

        desk.app.push_screen(HelpDialog(desk))


class Quit(Command["Desk"]):
    """Leave the program. Running machines go on; start it again to find them."""

    id, label, pinned = "quit", "Quit", True
    keys = shown_key = "q"

    def available(self, desk: Desk) -> bool:
        return True

    async def run(self, desk: Desk) -> None:
        await desk.app.action_quit()

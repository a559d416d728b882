"""What can be done to the selected machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from workstation.errors import HostError, OvercommitError, WorkstationError
from workstation.model.units import format_size
from workstation.ui.commands.base import MachineCommand

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.machine import MachineView
    from workstation.ui.desk import Desk


class Start(MachineCommand):
    """Start the machine; a frozen one goes on where it was. Asks first if this computer has too
    little memory for it."""

    id, label, verb = "start", "Start", "start"
    keys, shown_key = "s,enter", "s"

    def label_on(self, desk: Desk) -> str:
        return "Resume" if desk.view and desk.view.state == "frozen" else self.label

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        await start(desk, station, view.name)


async def start(desk: Desk, station: Workstation, name: str, *, cold: bool = False) -> None:
    """Start it; where that would overcommit the host's memory, only if the person insists."""
    try:
        await station.start(name, cold=cold)
    except OvercommitError as error:
        if await asked(desk, error, yes="Start anyway"):
            await station.start(name, force=True, cold=cold)
    except HostError as error:
        # Its memory cannot be taken up on this computer: the error says so, and names the way out.
        if "--cold" not in error.hint:
            raise
        if await asked(desk, error, yes="Boot cold"):
            await start(desk, station, name, cold=True)


async def asked(desk: Desk, error: WorkstationError, *, yes: str) -> bool:
    from workstation.ui.dialogs.confirm import Confirm
    from workstation.ui.dialogs.dialog import sentence

    hint = "" if "--cold" in error.hint else error.hint
    lines = [sentence(str(error)), sentence(hint)]
    if yes == "Boot cold":
        lines.append("Its disks of that moment can be booted instead; what was in memory is lost.")
    return await desk.app.push_screen_wait(Confirm(error.title, lines, yes=yes))


class ColdBoot(MachineCommand):
    """Boot a frozen machine's disks anew, without going on from its memory."""

    id, label, verb = "cold-boot", "Boot cold", "start"
    keys = shown_key = "B"

    def available(self, desk: Desk) -> bool:
        return bool(super().available(desk) and desk.view and desk.view.state == "frozen")

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        lines = [
            "Its disks are booted as they were when it was frozen.",
            "What the guest has in its memory is lost, as if its plug had been pulled.",
        ]
        if await confirmed(desk, f"Boot {view.name} cold?", lines, yes="Boot cold"):
            await start(desk, station, view.name, cold=True)


class Stop(MachineCommand):
    """Press the power button: the guest shuts down. It is ended if it has not after a while."""

    id, label, verb = "stop", "Stop", "stop"
    keys = shown_key = "S"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        await station.stop(view.name)


class Console(MachineCommand):
    """Work at the guest's serial line, full size. The guest goes on when you leave."""

    id, label, verb = "console", "Console", "console"
    keys, shown_key = "c,enter", "c"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        await asyncio.to_thread(_import_console)
        from workstation.ui.console.screen import ConsoleScreen

        desk.app.push_screen(ConsoleScreen(station, view.name))


def _import_console() -> None:
    """The emulator takes a while to load, and the screen goes on meanwhile."""
    import workstation.ui.console.screen  # noqa: F401


class Screen(MachineCommand):
    """Look at the guest's graphical screen and work on it. The guest goes on when you leave."""

    id, label, verb = "screen", "Screen", "screen"
    keys = shown_key = "g"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        from workstation.ui.screen.guest import GuestScreen

        desk.app.push_screen(GuestScreen(station, view.name))


class Ssh(MachineCommand):
    """Log into the guest by ssh, in this terminal. The guest goes on when you leave."""

    id, label, verb = "ssh", "SSH", "console"
    keys = shown_key = "H"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        from workstation.ui.handover import terminal

        await station.guests.door(view.name)
        with terminal(desk.app):
            code = await station.guests.ssh(view.name)
        if code == 255:
            raise HostError(
                f"ssh could not log into “{view.name}”",
                hint=f"in a shell, it says why: workstation ssh {view.name}",
            )


class Pause(MachineCommand):
    """Let the guest stand still; nothing of it is lost."""

    id, label, verb = "pause", "Pause", "pause"
    keys = shown_key = "p"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        await station.pause(view.name)


class Resume(MachineCommand):
    """Let a paused guest go on."""

    id, label, verb = "resume", "Resume", "resume"
    keys = shown_key = "p"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        await station.resume(view.name)


class Edit(MachineCommand):
    """Change the machine's YAML in your editor ($VISUAL, $EDITOR); it is checked before it is
    saved."""

    id, label, verb = "edit", "Edit", "edit"
    keys = shown_key = "E"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        from workstation.ui.editing import edit

        await edit(desk.app, station, view.name)


class Reset(MachineCommand):
    """Press the reset button: the guest starts over without being asked."""

    id, label, verb = "reset", "Hard reset", "reset"
    keys = shown_key = "R"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        lines = ["The guest starts over at once. What it has not written to its disks is lost."]
        if await confirmed(desk, f"Reset {view.name}?", lines, yes="Reset"):
            await station.reset(view.name)


class Kill(MachineCommand):
    """End the machine at once, as if its plug were pulled."""

    id, label, verb = "kill", "Force off", "stop --force"
    keys = shown_key = "F"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        lines = [
            "It ends at once, without asking the guest. What that has not written is lost.",
            "S asks the guest to shut down instead.",
        ]
        if await confirmed(desk, f"Force {view.name} off?", lines, yes="Force off"):
            await station.kill(view.name)


class Delete(MachineCommand):
    """Remove the machine and its disks."""

    id, label, verb = "delete", "Delete", "delete"
    keys, shown_key = "d,delete", "d"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        data = station.paths.machine(view.name).data
        size = await asyncio.to_thread(desk.outside.disk_used, data)
        lines = [
            f"Its disks go with it: {format_size(size)} on this computer.",
            "This cannot be undone.",
        ]
        if await confirmed(desk, f"Delete {view.name}?", lines, yes="Delete"):
            await station.delete(view.name)


async def confirmed(desk: Desk, title: str, lines: list[str], *, yes: str) -> bool:
    """Ask before something is lost."""
    from workstation.ui.dialogs.confirm import Confirm

    question = Confirm(title, lines, yes=yes, loses=True)
    return await desk.app.push_screen_wait(question)

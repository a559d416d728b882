"""Freeze, go back, branch: what is done with the selected machine's layers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from workstation.errors import WorkstationError
from workstation.ui.commands.base import Command, MachineCommand
from workstation.ui.past import Past, free_tag, read_past

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.machine import MachineView
    from workstation.ui.desk import Desk
    from workstation.ui.library import LibraryScreen


class Snapshot(MachineCommand):
    """Freeze the machine as it is now, so that one can come back to it. A running guest goes on."""

    id, label, verb = "snapshot", "Snapshot", "snapshot"
    keys = shown_key = "t"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        from workstation.ui.dialogs.snapshot import SnapshotDialog

        past = await read(station, view.name)
        question = SnapshotDialog(
            view.name,
            suggested=free_tag("snap", past),
            live=view.accelerator,
            trouble=lambda tag: tag_trouble(tag, past.tags),
        )
        wish = await desk.app.push_screen_wait(question)
        if wish:
            await station.layers.snapshot(view.name, wish.tag, note=wish.note, memory=wish.memory)
            desk.tell(f"{view.name}: snapshot {wish.tag} taken")


class ResetDemo(MachineCommand):
    """Bring the machine back to its golden moment, from whatever state it is in. Asks nothing:
    what came after that moment is dropped."""

    id, label, verb = "reset-demo", "Reset demo", "revert"
    keys = shown_key = "r"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        from workstation.ui.dialogs.choose import Answer, Choose

        if station.layers.names_of(view.name).golden:
            await station.layers.reset_demo(view.name)
            return
        lines = [
            "There is no golden moment yet that this key could bring back.",
            "Bring the guest to where the demo begins, then make that golden.",
        ]
        answers = [Answer("golden", "Make now golden")]
        if await desk.app.push_screen_wait(Choose(f"Reset {view.name}?", lines, answers)):
            await make_golden(desk, station, view.name)


class Golden(MachineCommand):
    """Freeze the machine as it is now, as the golden moment that a reset brings back."""

    id, label, verb = "golden", "Make now golden", "snapshot"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        await make_golden(desk, station, view.name)


async def make_golden(desk: Desk, station: Workstation, name: str, tag: str = "") -> None:
    """Mark a snapshot, or one that is taken now."""
    marked = await station.layers.set_golden(name, tag)
    desk.tell(f"{name}: {marked} is golden; r brings it back")


class Suspend(MachineCommand):
    """Put the guest's memory on the disk and end its process. Starting it goes on right there."""

    id, label, verb = "suspend", "Suspend", "suspend"
    keys = shown_key = "z"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        await station.layers.suspend(view.name)


class Branch(MachineCommand):
    """Make a second machine that begins where this one is now, without copying its disks."""

    id, label, verb = "branch", "Branch", "snapshot"
    keys = shown_key = "b"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        frozen = view.state.live or view.state == "frozen"
        await branch(desk, station, view.name, "", memory=frozen)


async def branch(desk: Desk, station: Workstation, name: str, tag: str, *, memory: bool) -> None:
    """Ask for the new machine's name and make it: from the snapshot, or from now."""
    from workstation.ui.dialogs.name import NameDialog
    from workstation.ui.new.wish import free_name, name_trouble

    begins = f"A new machine that begins at “{tag}”" if tag else "A new machine that begins here"
    lines = [
        f"{begins}. Their disks are shared until one of them writes.",
        "It goes on from the guest's memory, with its network off: inside it has the same host"
        " name, keys and addresses." if memory else "It boots from these disks.",
    ]  # fmt: skip
    question = NameDialog(
        f"Branch off {name}",
        lines,
        value=free_name(f"{name}-2", station.machines),
        trouble=lambda new: name_trouble(new, station),
        yes="Branch",
    )
    new = await desk.app.push_screen_wait(question)
    if new:
        await station.layers.clone(name, new, at=tag)
        desk.program.library.go_to(new)
        desk.tell(f"{new}: made, and selected in the library")


class OpenHistory(MachineCommand):
    """Look at the machine's snapshots: go back to one, branch off, rename, delete."""

    id, label, verb = "history", "History", "edit"
    keys = shown_key = "h"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        from workstation.ui.history import HistoryScreen

        desk.app.push_screen(HistoryScreen(station, view.name))


# -- all of them ------------------------------------------------------------------


class SuspendAll(Command["LibraryScreen"]):
    """Suspend all running machines, as before closing the lid."""

    id, label, section = "suspend-all", "Suspend all", "Machines"

    def available(self, desk: LibraryScreen) -> bool:
        return bool(_with_state(desk, "running"))

    async def run(self, desk: LibraryScreen) -> None:
        if desk.station:
            await _each(_with_state(desk, "running"), desk.station.layers.suspend)


class ResumeAll(Command["LibraryScreen"]):
    """Let all suspended machines go on."""

    id, label, section = "resume-all", "Resume all", "Machines"

    def available(self, desk: LibraryScreen) -> bool:
        return bool(_with_state(desk, "frozen"))

    async def run(self, desk: LibraryScreen) -> None:
        if desk.station:
            await _each(_with_state(desk, "frozen"), desk.station.start)


def _with_state(desk: LibraryScreen, state: str) -> list[str]:
    machines = desk.station.machines if desk.station else {}
    return [name for name, view in machines.items() if view.state == state]


async def _each(names: list[str], act: Callable[[str], Awaitable[None]]) -> None:
    """One after the other; one that fails does not keep the others from theirs."""
    failed: list[tuple[str, WorkstationError]] = []
    for name in names:
        try:
            await act(name)
        except WorkstationError as error:
            failed.append((name, error))
    if len(failed) == 1:
        raise failed[0][1]
    if failed:
        raise WorkstationError(
            f"{len(failed)} of {len(names)} machines stay as they were",
            hint="the details say why; try each by itself",
            details="\n".join(f"{name}: {error}" for name, error in failed),
        )


# -- helpers ----------------------------------------------------------------------


async def read(station: Workstation, name: str) -> Past:
    """The machine's layers; raises WorkstationError where they cannot be read."""
    past = await asyncio.to_thread(read_past, station, name)
    if past.trouble:
        raise WorkstationError(past.trouble)
    return past


def tag_trouble(tag: str, taken: tuple[str, ...]) -> str:
    """Why a snapshot cannot have that name; empty where it can."""
    from workstation.model.layer import TAG_PATTERN

    if not tag:
        return "It needs a name."
    if tag in taken:
        return f"There is a snapshot “{tag}” already."
    if not re.fullmatch(TAG_PATTERN, tag):
        return "Letters, digits, “.”, “_” and “-” only, 40 at most."
    return ""

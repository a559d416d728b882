"""Machines in one file: taken along, run from there, settled in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.errors import OvercommitError, UsageError
from workstation.model.units import format_size
from workstation.ui.commands.base import Command, MachineCommand

if TYPE_CHECKING:
    from workstation.core.bundle.inspection import Report
    from workstation.core.inplace.verbs import Opened
    from workstation.core.workstation import Workstation
    from workstation.model.machine import MachineView
    from workstation.ui.desk import Desk
    from workstation.ui.dialogs.open import Wish
    from workstation.ui.library import LibraryScreen


class Export(MachineCommand):
    """Put the machine into one file, with its history and the moment that it is at: onto a stick,
    to go on from there on another computer. A running guest goes on meanwhile."""

    id, label, verb = "export", "Export", "snapshot"
    keys = shown_key = "e"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        from workstation.core.bundle.export import Wish
        from workstation.ui.dialogs.export import ExportDialog

        places = await asyncio.to_thread(station.inplace.places)
        memory = view.state.live or view.state == "frozen"
        question = ExportDialog(station, view.name, places, has_memory=memory)
        wish = await desk.app.push_screen_wait(question)
        if wish is None:
            return
        words = Wish(
            memory=wish.memory,
            flatten=wish.packed,
            compress=wish.packed,
            passphrase=wish.passphrase,
        )
        done = await station.carry.export(view.name, wish.path, words)
        file = done.file or wish.path
        where = f"{file.name}; {done.medium} can be pulled out now" if done.medium else file
        desk.tell(f"{view.name}: {format_size(done.written)} written to {where}")


class Open(Command["LibraryScreen"]):
    """Look into a bundle on a stick or a disk, and run its machine from there, or import it."""

    id, label, section, early = "open", "Open", "Machines", True
    keys = shown_key = "o"

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        """The one that is looked into first."""

    async def run(self, desk: LibraryScreen) -> None:
        if desk.station:
            await open_bundle(desk, desk.station, self._path)


async def open_bundle(desk: LibraryScreen, station: Workstation, path: Path | None) -> None:
    """Ask which one, and what to do with it."""
    from workstation.ui.dialogs.open import OpenDialog

    bundles = await asyncio.to_thread(station.inplace.around)
    wish = await desk.app.push_screen_wait(OpenDialog(station, bundles, path))
    if wish is None:
        return
    if wish.report is None:
        await _adopt(desk, station, wish)
        return
    memory = await _ask_for_memory(desk, wish.report)
    if memory is not None:
        doing = {"import": _bring_in, "update": _update}.get(wish.how, _run)
        await doing(desk, station, wish, wish.report, memory)


async def _adopt(desk: LibraryScreen, station: Workstation, wish: Wish) -> None:
    made = await station.foreign.adopt(wish.path)
    desk.go_to(made.name)
    _tell(desk, made.name, "imported", tuple(f"left out: {text}" for text in made.dropped))


async def _bring_in(
    desk: LibraryScreen, station: Workstation, wish: Wish, report: Report, memory: str
) -> None:
    from workstation.core.bundle.importing import Words

    words = Words(load_memory=memory)
    done = await station.carry.import_file(wish.path, words, passphrase=wish.passphrase)
    desk.go_to(done.name)
    _tell(desk, done.name, "imported", done.said)


async def _update(
    desk: LibraryScreen, station: Workstation, wish: Wish, report: Report, memory: str
) -> None:
    """The machine that is here goes on where the bundle does; what it would lose is asked."""
    from workstation.core.bundle.importing import Words
    from workstation.ui.commands.history import free_before, loses
    from workstation.ui.commands.layers import read

    name = report.updates
    view = station.machines[name]
    chosen = await loses(desk, station, view, f"Bring {name} up to date?", "Update")
    if chosen == "keep":
        kept = free_before("update", (await read(station, name)).tags)
        await station.layers.snapshot(name, kept, note="before it was brought up to date")
    if chosen:
        words = Words(load_memory=memory, into=name, discard=True)
        done = await station.carry.import_file(wish.path, words, passphrase=wish.passphrase)
        desk.go_to(name)
        _tell(desk, name, "brought up to date", done.said)


async def _run(
    desk: LibraryScreen, station: Workstation, wish: Wish, report: Report, memory: str
) -> None:
    from workstation.ui.commands.machine import start

    cold = report.manifest.machine.resume and not memory and not report.resumes
    done = await _opened(desk, station, wish, memory, cold=cold)
    if done is None:
        return
    desk.go_to(done.name)
    await start(desk, station, done.name)
    _tell(desk, done.name, "goes on where it was" if done.resumes else "boots", done.said)
    if wish.how == "settle":
        await settle(desk, station, done.name)


async def _opened(
    desk: LibraryScreen, station: Workstation, wish: Wish, memory: str, *,
    cold: bool, force: bool = False,
) -> Opened | None:  # fmt: skip
    """The machine, made; None where the person leaves it at that."""
    from workstation.ui.commands.machine import asked

    try:
        return await station.inplace.open(
            wish.path, load_memory=memory, cold=cold, force=force, passphrase=wish.passphrase
        )
    except OvercommitError as error:
        if await asked(desk, error, yes="Run anyway"):
            return await _opened(desk, station, wish, memory, cold=cold, force=True)
    except UsageError as error:
        # Its drives could not wait for the stick: booted, they are on another bus.
        if cold or "--cold" not in error.hint:
            raise
        if await asked(desk, error, yes="Boot cold"):
            return await _opened(desk, station, wish, memory, cold=True, force=force)
    return None


def _tell(desk: Desk, name: str, done: str, said: tuple[str, ...]) -> None:
    """What was done, and each thing that is not as it was in the bundle; the log keeps those."""
    desk.tell_all(f"{name}: {done}", said)


async def _ask_for_memory(desk: Desk, report: Report) -> str | None:
    """The fingerprint, where the person types it; empty for none, None to leave it at that.

    Asked only where there is memory, and its signer is a stranger.
    """
    from workstation.ui.dialogs.choose import Answer, Choose
    from workstation.ui.dialogs.name import NameDialog

    if report.trusted or not report.manifest.machine.resume:
        return ""
    lines = [
        f"It was signed by {report.signer}, whom you do not trust.",
        "Its memory is loaded by QEMU, and could be made to harm it and this computer. Its disks"
        " are the guest's business only.",
    ]  # fmt: skip
    answers = [Answer("memory", "Load its memory…", loses=True), Answer("cold", "Boot its disks")]
    chosen = await desk.app.push_screen_wait(Choose("From a stranger", lines, answers))
    if chosen != "memory":
        return "" if chosen == "cold" else None
    question = NameDialog(
        "Load a stranger's memory",
        ["Type the fingerprint as its owner tells you."],
        value="",
        trouble=lambda typed: "" if _same(typed, report.signer) else "That is not its signer's.",
        yes="Load it",
    )
    return await desk.app.push_screen_wait(question) or None


def _same(typed: str, fingerprint: str) -> bool:
    return typed.replace("-", "").replace(" ", "").lower() == fingerprint.replace("-", "")


class SettleIn(MachineCommand):
    """Copy into the library what the machine reads on a stick. Its guest runs on meanwhile, and
    then the stick can be pulled out."""

    id, label, verb = "settle", "Settle in", "settle"
    keys = shown_key = "i"

    def available(self, desk: Desk) -> bool:
        return super().available(desk) and bool(desk.view and desk.view.reads)

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        await settle(desk, station, view.name)


async def settle(desk: Desk, station: Workstation, name: str) -> None:
    done = await station.inplace.settle(name)
    others = ", ".join(done.still)
    end = f"{others} still reads on the stick" if others else "the stick can be pulled out now"
    desk.tell(f"{name}: {format_size(done.copied)} copied; {end}")

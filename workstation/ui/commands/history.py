"""What can be done in a machine's history; the keys, the footer, the palette and the help."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from workstation.model.units import format_size
from workstation.ui.commands.base import Command
from workstation.ui.commands.layers import (
    ResetDemo,
    Snapshot,
    branch,
    make_golden,
    read,
    tag_trouble,
)
from workstation.ui.commands.machine import Console, Screen, confirmed
from workstation.ui.commands.program import Cancel, Help, Palette, Quit
from workstation.ui.past import freed_without, listed, standing_on

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.machine import MachineView
    from workstation.ui.desk import Desk
    from workstation.ui.history import HistoryScreen


class ConsoleHere(Console):
    """Work at the guest's serial line, full size. The guest goes on when you leave."""

    keys = "c"


class ScreenHere(Screen):
    """Look at the guest's graphical screen and work on it. The guest goes on when you leave."""

    keys = shown_key = "G"


class LayerCommand(Command["HistoryScreen"]):
    """Base of the commands on the selected layer; most need one that has a name."""

    section: ClassVar[str] = "The selected layer"
    verb: ClassVar[str] = "edit"

    def available(self, desk: HistoryScreen) -> bool:
        from workstation.model.machine import Verb

        return bool(desk.tag and desk.view and desk.view.allows(Verb(self.verb)))


class Revert(LayerCommand):
    """Go back to this layer: what is now is dropped, and the machine starts there. Asks first
    where something would be lost, and offers to keep it in a snapshot."""

    id, label, verb = "history-revert", "Revert", "revert"
    keys, shown_key = "enter,v", "enter"

    async def run(self, desk: HistoryScreen) -> None:
        view, tag, station = desk.view, desk.tag, desk.station
        if not view or not tag:
            return
        chosen = await loses(desk, station, view, f"Go back to {tag}?", "Revert")
        if chosen == "keep":
            kept = free_before(tag, (await read(station, view.name)).tags)
            await station.layers.snapshot(view.name, kept, note=f"before going back to {tag}")
        if chosen:
            await station.layers.revert(view.name, tag, discard=True)
            desk.tell(f"{view.name}: back at {tag}")


async def loses(desk: Desk, station: Workstation, view: MachineView, title: str, doing: str) -> str:
    """Asked where the machine's head is to be left: empty for no, `keep` for a snapshot first.

    `doing` is the button's word. Nothing is asked where nothing would be lost.
    """
    from workstation.core.layers.verbs import DISCARDED_AT_LEAST
    from workstation.ui.dialogs.choose import Answer, Choose

    lost = await asyncio.to_thread(station.layers.written, view.name)
    if lost < DISCARDED_AT_LEAST and not view.state.live and view.state != "frozen":
        return "lose"
    lines = [_lost(lost, view), "A snapshot of now keeps it: the history shows it then."]
    then = f"Snapshot, then {doing.lower()}"
    answers = [Answer("lose", doing, loses=True), Answer("keep", then)]
    return await desk.app.push_screen_wait(Choose(title, lines, answers)) or ""


def _lost(lost: int, view: MachineView) -> str:
    written = f"{format_size(lost)} written since the last snapshot" if lost else ""
    memory = "what the guest has in its memory" if view.state.live or view.state == "frozen" else ""
    both = ", and ".join(part for part in (written, memory) if part)
    return f"{both[:1].upper()}{both[1:]} would be lost."


def free_before(tag: str, taken: tuple[str, ...]) -> str:
    """A name for what is kept before going back; 40 characters at most."""
    wanted = f"before-{tag}"[:36]
    number, name = 2, wanted
    while name in taken:
        number, name = number + 1, f"{wanted}-{number}"
    return name


class BranchHere(LayerCommand):
    """Make a second machine that begins at this layer, or as the machine is now."""

    id, label, verb = "history-branch", "Branch", "snapshot"
    keys = shown_key = "b"

    def available(self, desk: HistoryScreen) -> bool:
        return super().available(desk) if desk.entry else _of_now(desk, self.verb)

    async def run(self, desk: HistoryScreen) -> None:
        if desk.view:
            live = desk.view.state.live or desk.view.state == "frozen"
            memory = desk.entry.memory if desk.entry else live
            await branch(desk, desk.station, desk.view.name, desk.tag, memory=memory)


class MakeGolden(LayerCommand):
    """Mark this layer as the golden moment that r brings back; on “now” it is frozen first."""

    id, label = "history-golden", "Golden"
    keys = shown_key = "g"

    def available(self, desk: HistoryScreen) -> bool:
        if desk.entry is None:
            return _of_now(desk, "snapshot")
        return super().available(desk) and not desk.entry.golden

    async def run(self, desk: HistoryScreen) -> None:
        if desk.view:
            await make_golden(desk, desk.station, desk.view.name, desk.tag)


def _of_now(desk: HistoryScreen, verb: str) -> bool:
    """Whether the machine as it is now can be frozen."""
    from workstation.model.machine import Verb

    there = desk.past is not None and not desk.past.trouble
    return bool(there and desk.view and desk.view.allows(Verb(verb)))


class Rename(LayerCommand):
    """Give this layer another name. Its note stays as it was written."""

    id, label = "history-rename", "Rename"
    keys, shown_key = "e,n,f2", "e"

    async def run(self, desk: HistoryScreen) -> None:
        from workstation.ui.dialogs.name import NameDialog

        view, tag, past = desk.view, desk.tag, desk.past
        if not view or not past:
            return
        others = tuple(other for other in past.tags if other != tag)
        question = NameDialog(
            f"Rename {tag}",
            [],
            value=tag,
            trouble=lambda new: tag_trouble(new, others),
            yes="Rename",
        )
        new = await desk.app.push_screen_wait(question)
        if new and new != tag:
            desk.station.layers.rename(view.name, tag, new)


class DeleteLayer(LayerCommand):
    """Delete this snapshot. What others stand on is kept until they go too."""

    id, label = "history-delete", "Delete"
    keys, shown_key = "d,delete", "d"

    async def run(self, desk: HistoryScreen) -> None:
        view, tag = desk.view, desk.tag
        if not view or not tag:
            return
        lines = await self._consequences(desk.station, view.name, tag)
        if await confirmed(desk, f"Delete {tag}?", lines, yes="Delete"):
            freed = await desk.station.layers.forget(view.name, tag)
            desk.tell(f"{tag}: deleted, {format_size(freed)} freed")

    async def _consequences(self, station: Workstation, name: str, tag: str) -> list[str]:
        past = await read(station, name)
        entry = next(entry for entry in past.entries if tag in entry.tags)
        freed = freed_without(past, tag)
        lines = ["You cannot go back to that moment then."]
        if freed:
            lines.append(f"{format_size(freed)} come back on this computer.")
        elif others := [other for other in entry.tags if other != tag]:
            lines.append(f"No room comes back: it is called {listed(others)} too.")
        else:
            on_it = listed(standing_on(past, entry))
            lines.append(f"No room comes back yet, for this stands on it: {on_it}.")
        if entry.golden:
            lines.append("It is the golden moment: r will have nothing to go back to.")
        return lines


class Squash(LayerCommand):
    """Merge this layer into what stands on it: the chain gets shorter, no content is lost."""

    id, label, verb = "history-squash", "Squash", "squash"
    keys = shown_key = "s"

    def available(self, desk: HistoryScreen) -> bool:
        entry, past = desk.entry, desk.past
        return bool(super().available(desk) and entry and past and standing_on(past, entry))

    async def run(self, desk: HistoryScreen) -> None:
        view, tag, entry, past = desk.view, desk.tag, desk.entry, desk.past
        if not view or not entry or not past:
            return
        into = listed(standing_on(past, entry))
        lines = [
            f"It is merged into {into}: what was written stays.",
            "You cannot go back to that moment then.",
        ]
        if await confirmed(desk, f"Squash {tag}?", lines, yes="Squash"):
            await desk.station.layers.squash(view.name, tag)
            desk.tell(f"{tag}: merged into {into}")


class Fold(Command["HistoryScreen"]):
    """Unfold the branch that begins at this layer, or fold it again."""

    id, label, section = "history-fold", "Fold", "The selected layer"
    keys, shown_key = "space,left,right", "space"

    def available(self, desk: HistoryScreen) -> bool:
        return bool(desk.row and desk.row.above)

    def label_on(self, desk: HistoryScreen) -> str:
        return "Unfold" if desk.row and desk.row.folded else "Fold"

    async def run(self, desk: HistoryScreen) -> None:
        desk.rows.turn()


class Back(Command["HistoryScreen"]):
    """Back to the machines."""

    id, label, section = "history-back", "Back", "Workstation"
    keys, shown_key, pinned = "escape,h", "esc", True

    async def run(self, desk: HistoryScreen) -> None:
        desk.action_back()


COMMANDS: dict[str, Command[Any]] = {
    command.id: command
    for command in (
        Revert(),
        Fold(),
        BranchHere(),
        MakeGolden(),
        Rename(),
        DeleteLayer(),
        Squash(),
        Snapshot(),
        ResetDemo(),
        ConsoleHere(),
        ScreenHere(),
        Cancel(),
        Palette(),
        Back(),
        Help(),
        Quit(),
    )
}

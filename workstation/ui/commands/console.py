"""What can be done on the text console, after its menu key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workstation.ui.commands.base import Command
from workstation.ui.commands.layers import ResetDemo, Snapshot
from workstation.ui.commands.machine import Pause, Reset, Resume, Screen, Start, Stop
from workstation.ui.commands.program import Cancel, Help, Palette

if TYPE_CHECKING:
    from workstation.ui.console.screen import ConsoleScreen


class ConsoleCommand(Command["ConsoleScreen"]):
    """Done at once: what is typed right after it must not come before it."""

    section = "The console"

    def now(self, desk: ConsoleScreen) -> None:
        raise NotImplementedError

    async def run(self, desk: ConsoleScreen) -> None:
        self.now(desk)


class Leave(ConsoleCommand):
    """Back to where you came from. The guest goes on."""

    id, label = "console-leave", "Leave"
    keys = shown_key = "q"

    def now(self, desk: ConsoleScreen) -> None:
        desk.leave()


class LookBack(ConsoleCommand):
    """Hold still what was shown, to move in it with the arrows, page by page, or g and G."""

    id, label = "console-look", "Look back"
    keys, shown_key = "left_square_bracket,b", "["

    def now(self, desk: ConsoleScreen) -> None:
        desk.look_back(commanding=True)


class Search(ConsoleCommand):
    """Look for a text in what the guest has shown, upwards; n and N go on."""

    id, label = "console-search", "Search"
    keys, shown_key = "slash", "/"

    def now(self, desk: ConsoleScreen) -> None:
        desk.search()


class Copy(ConsoleCommand):
    """Copy what is marked, or the whole screen where nothing is, to your clipboard."""

    id, label = "console-copy", "Copy"
    keys = shown_key = "c"

    def label_on(self, desk: ConsoleScreen) -> str:
        look = desk.terminal.look
        return "Copy marked" if look and look.marked else self.label

    def now(self, desk: ConsoleScreen) -> None:
        desk.copy()


class Paste(ConsoleCommand):
    """Type what was copied here last. What another program has copied, your terminal pastes."""

    id, label = "console-paste", "Paste"
    keys = shown_key = "v"

    def available(self, desk: ConsoleScreen) -> bool:
        return bool(desk.app.clipboard)

    def now(self, desk: ConsoleScreen) -> None:
        desk.terminal.paste(desk.app.clipboard)


class TellSize(ConsoleCommand):
    """Tell the guest how large its terminal is: through its agent, or by typing stty at its
    prompt."""

    id, label = "console-size", "Set size"
    keys = shown_key = "z"

    def available(self, desk: ConsoleScreen) -> bool:
        return desk.is_open

    def now(self, desk: ConsoleScreen) -> None:
        desk.tell_size()


class Restore(ConsoleCommand):
    """Bring the terminal back to order where a guest's output has upset it."""

    id, label = "console-restore", "Restore terminal"
    keys = shown_key = "X"

    def now(self, desk: ConsoleScreen) -> None:
        desk.restore()


COMMANDS: dict[str, Command[Any]] = {
    command.id: command
    for command in (
        Leave(),
        LookBack(),
        Search(),
        Copy(),
        Paste(),
        TellSize(),
        Screen(),
        Start(),
        ResetDemo(),
        Snapshot(),
        Pause(),
        Resume(),
        Stop(),
        Cancel(),
        Restore(),
        Reset(),
        Palette(),
        Help(),
    )
}

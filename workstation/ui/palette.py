"""The command palette: every command, and a way to each machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from textual.await_complete import AwaitComplete
from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.types import IgnoreReturnCallbackType

from workstation.model.text import safe_line
from workstation.ui.desk import Desk
from workstation.ui.leaving import is_on_top
from workstation.ui.library import LibraryScreen


class Palette(CommandPalette):
    """Left once, as `LeftOnce`; its list, as `Options`, is moved in when it is there."""

    def dismiss(self, result: None = None) -> AwaitComplete:
        return super().dismiss(result) if is_on_top(self) else AwaitComplete()

    def _action_command_list(self, action: str) -> None:
        if self.query_one(CommandList).size:
            super()._action_command_list(action)


class Entry(NamedTuple):
    text: str
    call: IgnoreReturnCallbackType
    help: str


class Commands(Provider):
    """What can be done now comes first; the rest says that it cannot."""

    async def discover(self) -> Hits:
        for entry in self._entries():
            yield DiscoveryHit(entry.text, entry.call, help=entry.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in (*self._entries(), *self._machines()):
            if (score := matcher.match(entry.text)) > 0:
                yield Hit(score, matcher.highlight(entry.text), entry.call, help=entry.help)

    def _entries(self) -> Iterator[Entry]:
        desk = self.screen
        if not isinstance(desk, Desk):
            return
        commands = [command for command in desk.commands.values() if command.id != "palette"]
        for command in sorted(commands, key=lambda command: not desk.can(command)):
            key = f"  ({command.shown_key})" if command.shown_key else ""
            possible = "" if desk.can(command) else "Not possible now. "
            yield Entry(
                f"{command.label_on(desk)}{key}",
                partial(desk.action_command, command.id),
                possible + command.help(),
            )

    def _machines(self) -> Iterator[Entry]:
        desk = self.screen
        if isinstance(desk, LibraryScreen) and desk.station:
            for name, view in desk.station.machines.items():
                yield Entry(safe_line(name), partial(desk.go_to, name), f"Go to it ({view.state})")

"""What the screens have in common: commands, offered in the footer, the palette and the help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import getters

from workstation.model.text import safe_line
from workstation.ui.commands.base import Command
from workstation.ui.leaving import LeftOnce
from workstation.ui.outside import Outside
from workstation.ui.widgets.footer import Footer, Key

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.events import Activity
    from workstation.model.machine import MachineView
    from workstation.ui.app import WorkstationApp
    from workstation.ui.looks import Look


MOST_TOLD = 6
"""Lines of a notice."""


class Desk(LeftOnce[None]):
    """A screen on which one machine is selected, and commands act on it."""

    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 (an instance variable in Textual)
        (0, "-narrow"),
        (96, "-normal"),
        (130, "-wide"),
    ]
    commands: ClassVar[Mapping[str, Command[Any]]] = {}
    """By id, in the order of the footer."""

    introduction: ClassVar[str] = ""
    """What the help says first."""

    footer = getters.query_one(Footer)
    station: Workstation | None = None
    asked = ""
    """The first command that was asked for before there was a station."""

    @property
    def view(self) -> MachineView | None:
        """The selected machine."""
        raise NotImplementedError

    @property
    def program(self) -> WorkstationApp:
        return cast("WorkstationApp", self.app)

    @property
    def outside(self) -> Outside:
        return self.program.outside

    @property
    def going(self) -> list[Activity]:
        """Long work that has not ended, oldest first."""
        return []

    @property
    def takes_keys(self) -> bool:
        """Whether all keys go to a guest: the program's own must not be in their way."""
        return False

    @property
    def is_seen(self) -> bool:
        """Whether no other screen hides it: below a dialog it is seen."""
        stack = self.app.screen_stack
        return self in stack and all(one.is_modal for one in stack[stack.index(self) + 1 :])

    @property
    def stands(self) -> bool:
        """Whether its widgets are there. Who draws later than that draws on nothing: a guest that
        prints while its console is left, a command that ends after its screen."""
        return self.is_mounted and self.is_running

    def signs(self) -> Iterable[Look]:
        """The signs that the help explains."""
        return ()

    def tell(self, text: str) -> None:
        """Say that something is done."""
        self.app.notify(safe_line(text, limit=200), markup=False)

    def tell_all(self, done: str, more: Sequence[str]) -> None:
        """The same, and what else a person should know of it, a line each, long enough to read."""
        if not more:
            self.tell(done)
            return
        lines = [safe_line(text, limit=200) for text in more[:MOST_TOLD]]
        if more[MOST_TOLD:]:
            lines.append(f"and {len(more) - MOST_TOLD} more: the log has them")
        self.app.notify(
            "\n".join(lines), title=safe_line(done, limit=80), markup=False,
            severity="warning", timeout=10.0 + 5 * len(lines),
        )  # fmt: skip

    def show_again(self) -> None:
        """A command has ended: what is offered may be different now."""

    def can(self, command: Command[Any]) -> bool:
        return command.available(self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "command":
            command = self.commands[str(parameters[0])]
            return self._waits(command) or self.can(command)
        return True

    def _waits(self, command: Command[Any]) -> bool:
        return command.early and self.station is None

    def action_command(self, command: str) -> None:
        """Do it if it can be done now, or keep it for when the machines are found."""
        if self._waits(self.commands[command]):
            self.asked = self.asked or command
            self.show_again()
        elif self.can(self.commands[command]):
            name = self.view.name if self.view else ""
            self.program.perform(self.commands[command], self, name)
            self.show_again()

    def action_cancel(self, activity: int) -> None:
        if self.station:
            self.station.cancel(activity)

    def offer(self, keys: list[Key] | None = None) -> None:
        """Fill the footer: with what can be done now, or with keys of the moment."""
        if keys is None:
            offered = (command for command in self.commands.values() if command.shown_key)
            keys = [self._key(command) for command in offered if self._offers(command)]
        pinned = [self._key(command) for command in self.commands.values() if command.pinned]
        self.footer.offer(keys, pinned)

    def _offers(self, command: Command[Any]) -> bool:
        return not command.pinned and command.id != "palette" and self.can(command)

    def _key(self, command: Command[Any]) -> Key:
        return Key(command.shown_key, command.label_on(self), command.action(), command.help())

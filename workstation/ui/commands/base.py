"""One command, one class: its docstring is the help, its attributes make key, footer, palette."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from textual.binding import Binding

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.machine import MachineView
    from workstation.ui.desk import Desk

DeskT = TypeVar("DeskT", bound="Desk", contravariant=True)
"""The screen that a command needs: any with a selected machine, or a particular one."""


class Command(Generic[DeskT]):
    """Base of the commands."""

    id: ClassVar[str]
    label: ClassVar[str]
    """A word or two: the footer, the help and the palette show it."""
    keys: ClassVar[str] = ""
    """As Textual writes them, comma between; none: reached by the palette."""
    shown_key: ClassVar[str] = ""
    """The key as people write it."""
    section: ClassVar[str] = "Workstation"
    """Heading in the help."""
    pinned: ClassVar[bool] = False
    """Always in the footer, at its right end."""
    early: ClassVar[bool] = False
    """Asked for before the machines are found, it is done as soon as they are."""

    @classmethod
    def help(cls) -> str:
        return " ".join(inspect.cleandoc(cls.__doc__ or "").split())

    @classmethod
    def action(cls) -> str:
        return f"screen.command('{cls.id}')"

    @classmethod
    def binding(cls) -> Binding:
        return Binding(cls.keys, cls.action(), cls.label, show=False, tooltip=cls.help())

    def label_on(self, desk: DeskT) -> str:
        """The label, where another word says better what it does now."""
        return self.label

    def available(self, desk: DeskT) -> bool:
        """Whether it can be done now, to what is selected now."""
        return desk.station is not None

    async def run(self, desk: DeskT) -> None:
        """Do it; raised WorkstationErrors are shown by the app."""
        raise NotImplementedError


class MachineCommand(Command["Desk"]):
    """Base of the commands that act on the selected machine."""

    section: ClassVar[str] = "The selected machine"
    verb: ClassVar[str]
    """The word of a `Verb`; its table of states says when the command is there."""

    def available(self, desk: Desk) -> bool:
        # Imported here: the model is only loaded after the first frame.
        from workstation.model.machine import Verb

        return bool(desk.station and desk.view and desk.view.allows(Verb(self.verb)))

    async def run(self, desk: Desk) -> None:
        if desk.station and desk.view:
            await self.act(desk, desk.station, desk.view)

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        raise NotImplementedError


def bindings(commands: Mapping[str, Command[Any]]) -> list[Binding]:
    """The keys of those commands, for a screen."""
    return [command.binding() for command in commands.values() if command.keys]

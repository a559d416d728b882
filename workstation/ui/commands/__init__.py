"""Every command, once; keys, footer, palette and help are made from this list, in its order."""

from workstation.ui.commands.base import Command
from workstation.ui.commands.machine import (
    Console,
    Delete,
    Edit,
    Kill,
    Pause,
    Reset,
    Resume,
    Start,
    Stop,
)
from workstation.ui.commands.program import (
    Cancel,
    Demo,
    Doctor,
    Filter,
    Help,
    Log,
    New,
    Palette,
    Quit,
    Theme,
)

COMMANDS: dict[str, Command] = {
    command.id: command
    for command in (
        Demo(),
        New(),
        Start(),
        Console(),
        Pause(),
        Resume(),
        Stop(),
        Cancel(),
        Filter(),
        Log(),
        Edit(),
        Delete(),
        Reset(),
        Kill(),
        Doctor(),
        Theme(),
        Palette(),
        Help(),
        Quit(),
    )
}

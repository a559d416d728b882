"""Every command, once; keys, footer, palette and help are made from this list, in its order."""

from typing import Any

from workstation.ui.commands.base import Command
from workstation.ui.commands.carry import Export, Open, SettleIn
from workstation.ui.commands.change import Change
from workstation.ui.commands.layers import (
    Branch,
    Golden,
    OpenHistory,
    ResetDemo,
    ResumeAll,
    Snapshot,
    Suspend,
    SuspendAll,
)
from workstation.ui.commands.machine import (
    ColdBoot,
    Console,
    Delete,
    Edit,
    Kill,
    Pause,
    Reset,
    Resume,
    Screen,
    Ssh,
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

COMMANDS: dict[str, Command[Any]] = {
    command.id: command
    for command in (
        Demo(),
        New(),
        Start(),
        ColdBoot(),
        Console(),
        Screen(),
        Snapshot(),
        SettleIn(),
        ResetDemo(),
        OpenHistory(),
        Export(),
        Open(),
        Stop(),
        Pause(),
        Resume(),
        Suspend(),
        Cancel(),
        Filter(),
        Edit(),
        Change(),
        Delete(),
        Branch(),
        Ssh(),
        Log(),
        Reset(),
        Kill(),
        Golden(),
        SuspendAll(),
        ResumeAll(),
        Doctor(),
        Theme(),
        Palette(),
        Help(),
        Quit(),
    )
}

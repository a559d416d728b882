"""Every command: what does it, what it is for, its arguments, and how it is used.

A module a family of commands; only that of the command which was asked for is imported. On the way
of `workstation list`: quick modules only.
"""

from __future__ import annotations

from importlib import import_module

from workstation import __version__
from workstation.cli.parser import Grammar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from workstation.cli.parser import Command, Group

VERSION = f"workstation {__version__}"
DESCRIPTION = """\
Virtual machines that live in the terminal, and travel as files.
Without a command, the screens open."""
EPILOG = """\
exit codes:
    0  done                                  7  QEMU did not start
    1  anything else                         8  this computer lacks something
    2  the call's words are off              9  not enough memory (--force starts it anyway)
    3  not found                            10  waited in vain
    4  the machine is busy                  11  QEMU refused
    5  a file has problems                 127  the guest cannot run that (exec)
    6  not possible in this state          130  interrupted

To begin: workstation demo. To open a bundle: workstation FILE.vmbundle.
A command's own help: workstation help COMMAND."""

FAMILIES = {
    "machines": "demo list show create start stop pause resume reset edit delete",
    "changing": "set forward usb network",
    "screens": "console screen type keys viewer logs",
    "guests": "exec ssh cp ssh-config wait setup",
    "layers": "snapshot revert golden reset-demo suspend clone history snapshots squash compact"
    " store",
    "carry": "export import open settle unlock inspect trust",
    "images": "profile images",
    "host": "doctor completion",
}
"""The modules here, and their commands in the order of the help; a test compares both."""


class _Commands(Grammar):
    """All of them, by name."""

    def __init__(self) -> None:
        self._family = {name: one for one, names in FAMILIES.items() for name in names.split()}

    def __getitem__(self, name: str) -> Command | Group:
        family = import_module(f"workstation.cli.grammar.{self._family[name]}")
        found: Command | Group = family.COMMANDS[name]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._family)

    def __len__(self) -> int:
        return len(self._family)


COMMANDS = _Commands()

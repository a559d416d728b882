"""`workstation` without a command: the screens."""

import sys
from typing import TYPE_CHECKING

from workstation.errors import UsageError
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call
    from workstation.core.workstation import Workstation


def library(call: "Call") -> int:
    """Open the Library screen; needs a terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the screens need a terminal", hint="see: workstation --help")
    from workstation.ui import run

    run(_station)
    return 0


def _station() -> "Workstation":
    from workstation.core.workstation import Workstation

    return Workstation(Paths.from_environment())

"""`workstation` without a command: the screens."""

from pathlib import Path
from typing import TYPE_CHECKING

from workstation.cli import streams
from workstation.errors import UsageError
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call
    from workstation.core.workstation import Workstation


def library(call: "Call") -> None:
    """What was asked for without a command, perhaps with a file."""
    open_screens(Path(call.file).expanduser().absolute() if call.file else None)


def open_screens(file: Path | None = None) -> None:
    """Open the Library screen, with a file that was named to look into; needs a terminal."""
    if not streams.interactive():
        raise UsageError("the screens need a terminal", hint="see: workstation --help")
    from workstation.ui import run

    run(_station, file)


def _station() -> "Workstation":
    from workstation.core.workstation import Workstation

    return Workstation(Paths.from_environment())

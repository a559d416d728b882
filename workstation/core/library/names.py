"""Which machines there are. Imported by `workstation list`: neither `typing` nor `pathlib`."""

from __future__ import annotations

import os
import re

from workstation.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from workstation.paths import MachinePaths, Paths

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


def names(paths: Paths) -> list[str]:
    """Every machine's name, sorted. What is still being made is not among them."""
    return below(str(paths.machines))


def below(directory: str) -> list[str]:
    """The same for the directory of the machines."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if NAME.fullmatch(entry.name))
    except FileNotFoundError:
        return []


def find(paths: Paths, name: str) -> MachinePaths:
    """The places of an existing machine; raises NotFoundError with what may have been meant."""
    machine = paths.machine(name)
    if NAME.fullmatch(name) and machine.data.is_dir():
        return machine
    from difflib import get_close_matches

    near = get_close_matches(name, names(paths), n=1)
    hint = f"did you mean “{near[0]}”?" if near else "see: workstation list"
    raise NotFoundError(f"there is no machine “{name}”", hint=hint)

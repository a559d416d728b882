"""What a person wishes for, and names that are free."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.profile import Profile


class Wish(NamedTuple):
    name: str
    profile: Profile | None
    """None for a clone or an import."""
    based_on: str
    """The profile's name; of a clone, the machine; of an import, the file."""
    start: bool
    imported: bool = False
    """Not made by a profile: taken over from another program's file."""


class Source(NamedTuple):
    """What the first step answers."""

    profile: Profile
    based_on: str


def free_name(wanted: str, taken: Container[str]) -> str:
    """The name itself, or with the first number that makes it free."""
    number, name = 2, wanted
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    return name


def name_trouble(name: str, station: Workstation) -> str:
    """Why a new machine cannot have that name; empty where it can."""
    from workstation.model.profile import NAME_PATTERN

    if not name:
        return "It needs a name."
    if name in station.machines:
        return f"There is a machine “{name}” already."
    if not re.fullmatch(NAME_PATTERN, name):
        return "A name has lower-case letters, digits, “.”, “_” and “-”: 40 at most."
    return ""

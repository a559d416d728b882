"""The person's own settings: `settings.yaml`, all of it optional."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from workstation.model.profile import Accelerator, Section, Size
from workstation.model.scalars import in_words

KeyName = Annotated[
    str,
    StringConstraints(pattern=r"^(ctrl\+[a-hj-ln-z\]\\^_@]|f([1-9]|1[0-2]))$"),
    in_words("ctrl+ and a letter (not i or m: tab and enter) or one of ] \\ ^ _ @, or f1 to f12"),
]
"""A key that every terminal can send, and can tell from every other."""

Seconds = Annotated[float, Field(ge=0, le=3600)]


class Timeouts(Section):
    """How long each rung of the ladder that stops a machine waits before the next, in seconds."""

    power_button: Seconds = 60.0
    """After the ACPI power button, for the guest to shut down."""
    quit: Seconds = 5.0
    """After QMP `quit`, for QEMU to flush its disks and end."""
    terminate: Seconds = 5.0
    """After SIGTERM; SIGKILL follows."""


class Settings(Section):
    timeouts: Timeouts = Timeouts()
    accelerator: Accelerator = Accelerator.AUTO
    """What a profile's `auto` means here."""
    theme: str = "workstation"
    serial_log: Size = 4 * 2**20
    """How much of what a guest prints on its serial line is kept, at least."""
    keyboard: Literal["us", "gb", "de", "fr"] = "us"
    """The keyboard layout that guests have, where a machine's file names none."""
    leave_key: KeyName = "ctrl+]"
    """Leads back from a guest's console or screen."""
    menu_key: KeyName = "ctrl+\\"
    """Opens the menu of a guest's screen."""
    graphics: Literal["auto", "kitty", "sixel", "blocks"] = "auto"
    """How a guest's screen is drawn: by what the terminal says it has, or by this all the same."""
    longest_chain: Annotated[int, Field(ge=1, le=1000, strict=True)] = 32
    """Layers that a machine may stand on before every further snapshot brings a warning: up to so
    many, reading was no slower than through one (docs/figures.md)."""

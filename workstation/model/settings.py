"""The person's own settings: `settings.yaml`, all of it optional."""

from typing import Annotated

from pydantic import Field

from workstation.model.profile import Accelerator, Section, Size

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
    theme: str = "textual-dark"
    serial_log: Size = 4 * 2**20
    """How much of what a guest prints on its serial line is kept, at least."""

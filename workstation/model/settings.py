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
    theme: str = "workstation"
    serial_log: Size = 4 * 2**20
    """How much of what a guest prints on its serial line is kept, at least."""
    longest_chain: Annotated[int, Field(ge=1, le=1000, strict=True)] = 16
    """Layers that a machine may stand on before every further snapshot brings a warning."""

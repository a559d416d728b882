"""Whether the host has the memory for one more machine."""

from collections.abc import Iterable

import psutil

from workstation.core.sampling import read_usage
from workstation.errors import OvercommitError
from workstation.model.machine import MachineView
from workstation.model.profile import Profile
from workstation.model.units import format_size

OVERHEAD = 64 * 2**20
"""What QEMU itself needs beside the guest's memory, about."""


def check(name: str, profile: Profile, views: Iterable[MachineView]) -> None:
    """Raise OvercommitError, with the numbers, where the machine would not fit.

    What running guests were promised and have not touched yet counts as taken.
    """
    available = psutil.virtual_memory().available
    promised = sum(_untouched(view) for view in views)
    wanted = profile.memory + OVERHEAD
    free = max(0, available - promised)
    if wanted > free:
        raise OvercommitError(
            f"“{name}” needs {format_size(wanted)} of memory, and {format_size(free)} is free:"
            f" {format_size(available)} available, less {format_size(promised)} that running"
            " machines may still take",
            hint="stop another machine, give this one less memory, or start it with --force",
        )


def _untouched(view: MachineView) -> int:
    if not view.pid or not view.profile:
        return 0
    try:
        resident = read_usage(view.pid)[1]
    except (OSError, ValueError, IndexError):
        return 0
    return max(0, view.profile.memory + OVERHEAD - resident)

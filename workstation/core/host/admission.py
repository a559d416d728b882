"""Whether the host has the memory for one more machine."""

import psutil

from workstation.core.library import index
from workstation.core.machine.condition import live_pair
from workstation.core.machine.sampling import read_usage
from workstation.errors import OvercommitError
from workstation.model.profile import Profile
from workstation.model.units import format_size
from workstation.paths import Paths

OVERHEAD = 64 * 2**20
"""What QEMU itself needs beside the guest's memory, about."""


def check(paths: Paths, name: str, profile: Profile, insist: str = "start it with --force") -> None:
    """Raise OvercommitError, with the numbers, where the machine would not fit.

    `insist` is how a person does it all the same.

    What running guests were promised and have not touched yet counts as taken.
    """
    available = psutil.virtual_memory().available
    promised = _promised(paths)
    wanted = profile.memory + OVERHEAD
    free = max(0, available - promised)
    if wanted > free:
        raise OvercommitError(
            f"“{name}” needs {format_size(wanted)} of memory, and {format_size(free)} is free:"
            f" {format_size(available)} available, less {format_size(promised)} that running"
            " machines may still take",
            hint=f"stop another machine, give this one less memory, or {insist}",
        )


def _promised(paths: Paths) -> int:
    """Bytes that the machines which run now, whoever started them, may still take."""
    total = 0
    for name, summary in index.summaries(paths).items():
        pair = live_pair(paths.machine(name))
        if not pair or not summary["memory"]:
            continue
        try:
            resident = read_usage(pair.qemu.pid)[1]
        except (OSError, ValueError, IndexError):
            continue
        total += max(0, summary["memory"] + OVERHEAD - resident)
    return total

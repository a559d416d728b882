"""What a guest can wait for: a stick that is pulled out under it, and on which bus it cannot.

QEMU lets a guest stand still at an error of a disk (`rerror=stop`) on every bus but NVMe: its
device has no such property (`-device nvme,help`), and hands each error to the guest.
"""

from pathlib import Path

from workstation.core.host import media
from workstation.core.inplace import links
from workstation.core.library.names import find
from workstation.errors import UsageError
from workstation.model.profile import Bus, Profile
from workstation.paths import Paths

MOST_SATA = 6
"""Drives and discs that the controller takes."""


def lies_on_a_stick(path: Path) -> bool:
    """Whether a file is on something that can be pulled out."""
    medium = media.medium_of(path)
    return bool(medium and medium.removable)


def cannot_wait(profile: Profile) -> bool:
    """Whether its guest gets the read errors of a stick that is gone."""
    return any(drive.bus is Bus.NVME for drive in profile.drives)


def with_patience(profile: Profile) -> Profile:
    """The profile with its NVMe drives on SATA, or on virtio where SATA has no room for all."""
    other = [drive.bus for drive in profile.drives if drive.bus in (Bus.NVME, Bus.SATA)]
    bus = Bus.SATA if len(other) + len(profile.cdroms) <= MOST_SATA else Bus.VIRTIO
    drives = tuple(
        drive.model_copy(update={"bus": bus, "slot": None}) if drive.bus is Bus.NVME else drive
        for drive in profile.drives
    )
    return profile.model_copy(update={"drives": drives})


def refusal(name: str, path: Path) -> UsageError:
    """Of going on from the memory of such a machine while its disks lie on a stick."""
    return UsageError(
        f"“{name}” has NVMe drives, and those cannot wait when the stick is pulled out: its guest"
        " would lose its disks",
        hint=f"take it into the library: workstation import {path}; or boot it with them on SATA:"
        f" workstation open {path} --cold",
    )


def check_start(paths: Paths, name: str, profile: Profile) -> None:
    """Raise UsageError where a machine that reads on a stick would not stand its being pulled."""
    if cannot_wait(profile):
        other = f"; or put them on another bus: workstation set {name} 'drives[0].bus=sata'"
        _check_waiting(paths, name, other)


def check_change(paths: Paths, name: str, old: Profile, new: Profile) -> None:
    """The same of a change, which would be refused at the next start."""
    if cannot_wait(new) and not cannot_wait(old):
        _check_waiting(paths, name, "")


def _check_waiting(paths: Paths, name: str, otherwise: str) -> None:
    top = links.head_layer(find(paths, name))
    for bundle in links.bundles_below(paths.layers, top):
        seen = links.place(paths.bundles, bundle)
        if seen and seen.medium:
            raise UsageError(
                f"“{name}” reads on {links.named(seen)}, and NVMe drives cannot wait when that"
                " is pulled out: its guest would lose its disks",
                hint=f"copy them into the library: workstation settle {name}{otherwise}",
            )

"""What sets a machine's system up lies in its `seed/` until the first boot has finished.

It holds secrets (a password's hash, the guest's host key), so only this user may read it, it is
no part of a layer or a bundle, and it is thrown away as soon as it has done its work.
"""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from workstation.model.provision import Answers
from workstation.paths import MachinePaths

_ABOUT = "about.json"

GENERATED = "cloud-init"
"""The kind of a seed that was made from the profile's own words."""


class Seed(NamedTuple):
    """What it is, and how its end is known."""

    kind: str
    """`cloud-init`, or one of `Answers`."""
    token: str
    """What the guest prints when it is set up contains this."""
    instance: str
    """What cloud-init calls this machine."""
    cdrom: int = -1
    """The CD drive of the profile that its disc is in; -1 where it comes as no disc."""

    @property
    def by_cloud_init(self) -> bool:
        """Whether cloud-init in the guest reads it, and says when it is done."""
        return self.kind in (GENERATED, Answers.USER_DATA)


def read(paths: MachinePaths) -> Seed | None:
    """None where there is none."""
    try:
        return Seed(**json.loads((paths.seed / _ABOUT).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write(paths: MachinePaths, seed: Seed) -> None:
    """Before the machine is there."""
    about = paths.seed / _ABOUT
    about.touch(mode=0o600)
    about.write_text(json.dumps(seed._asdict()))


def remove(paths: MachinePaths) -> None:
    """What a program that is killed meanwhile leaves is no seed any more."""
    with suppress(FileNotFoundError):
        (paths.seed / _ABOUT).unlink()
    shutil.rmtree(paths.seed, ignore_errors=True)


def disc(paths: MachinePaths) -> Path:
    return paths.seed / "seed.iso"


def ignition(paths: MachinePaths) -> Path:
    return paths.seed / "config.ign"


def initrd(paths: MachinePaths) -> Path:
    """The installer's initial RAM disk with its answers added."""
    return paths.seed / "initrd"


def discs(paths: MachinePaths, profile_discs: tuple[Path | None, ...]) -> tuple[Path | None, ...]:
    """A machine's discs, with the seed's in its drive while there is one."""
    seed = read(paths)
    if not seed or not 0 <= seed.cdrom < len(profile_discs) or not disc(paths).exists():
        return profile_discs
    return tuple(
        disc(paths) if number == seed.cdrom else other for number, other in enumerate(profile_discs)
    )

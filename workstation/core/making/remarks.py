"""Whether a machine that is wished for would fit this host; asked while a person still types."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from workstation.core.host import admission
from workstation.core.images import Images
from workstation.core.library import library
from workstation.core.machine.forwards import is_free
from workstation.core.making import supplies
from workstation.core.provision import keys
from workstation.errors import OvercommitError, WorkstationError
from workstation.model.image import CatalogImage
from workstation.model.profile import Profile
from workstation.model.units import format_size
from workstation.paths import Paths
from workstation.qemu import qcow2

Subject = Literal["name", "memory", "cpus", "disk", "image", "ports", "user", "key"]


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that a person should know before the machine is made."""

    subject: Subject
    text: str
    """A sentence without its full stop."""
    fatal: bool = False
    """It cannot be made so."""


def remarks(paths: Paths, name: str, profile: Profile) -> list[Remark]:
    """Everything that is to be said, in the order of the questions; some file and socket calls."""
    checks = (_name(paths, name), _memory(paths, name, profile), _cpus(profile))
    more = (_disk(paths, profile), _images(paths, profile), _ports(profile), _login(paths, profile))
    return [remark for check in (*checks, *more) for remark in check]


def _name(paths: Paths, name: str) -> Iterator[Remark]:
    try:
        library.check_new_name(paths, name)
    except WorkstationError as error:
        yield Remark("name", f"{error}: {error.hint}", fatal=True)


def _memory(paths: Paths, name: str, profile: Profile) -> Iterator[Remark]:
    whole = psutil.virtual_memory().total
    if profile.memory > whole:
        yield Remark("memory", f"this computer has {format_size(whole)} in all", fatal=True)
        return
    try:
        admission.check(paths, name, profile)
    except OvercommitError:
        free = format_size(psutil.virtual_memory().available)
        yield Remark("memory", f"{free} is available now, other machines' share included")


def _cpus(profile: Profile) -> Iterator[Remark]:
    here = len(os.sched_getaffinity(0))
    if profile.cpu.count > here:
        yield Remark("cpus", f"this computer has {here}: more make it slower")


def _disk(paths: Paths, profile: Profile) -> Iterator[Remark]:
    images = Images(paths)
    for number, drive in enumerate(profile.drives):
        if not (drive.image and drive.size):
            continue
        with suppress(WorkstationError, OSError):
            least = _virtual_size(images, drive.image)
            if drive.size < least:
                what = f"its image has {format_size(least)}: it cannot be smaller"
                which = f"disk {number + 1}: " if len(profile.drives) > 1 else ""
                yield Remark("disk", f"{which}{what}", fatal=True)
    wanted = sum(drive.size or 0 for drive in profile.drives)
    free = shutil.disk_usage(paths.data).free
    if wanted > free:
        yield Remark(
            "disk", f"it may grow to {format_size(wanted)}, and {format_size(free)} is free"
        )


def _virtual_size(images: Images, ref: str) -> int:
    path = images.resolve(ref)
    return qcow2.virtual_size(path, qcow2.format_of(path))


def _images(paths: Paths, profile: Profile) -> Iterator[Remark]:
    images = Images(paths)
    for name, way in supplies.missing(images, profile).items():
        if way == "build":
            yield Remark("image", f"“{name}” is not here: it is built first")
        elif way == "pull":
            yield _to_pull(images, name)
        else:
            yield Remark("image", f"there is no image “{name}”", fatal=True)


def _to_pull(images: Images, name: str) -> Remark:
    try:
        known = images.catalog.find(name)
    except WorkstationError as error:
        return Remark("image", str(error), fatal=True)
    if known.given:
        what = f"“{name}” is to be brought: workstation images add FILE --name {name}"
        return Remark("image", what, fatal=True)
    size = format_size(known.download)
    return Remark("image", f"“{name}” is not here: it is downloaded first, {size}")


def _ports(profile: Profile) -> Iterator[Remark]:
    forwards = [rule for network in profile.networks for rule in network.forwards]
    if taken := [str(rule.host) for rule in forwards if not is_free(rule, rule.host)]:
        yield Remark(
            "ports", f"taken on this computer now: {', '.join(taken)}; free ones are chosen"
        )


def _login(paths: Paths, profile: Profile) -> Iterator[Remark]:
    provision = profile.provision
    if not provision.asked:
        return
    if provision.ssh_key == "own" and not keys.own_keys(Path.home()):
        what = "there is no public key in ~/.ssh: ssh-keygen makes one, or take “machine”"
        yield Remark("key", what, fatal=True)
    first = profile.drives[0].image if profile.drives else None
    known = first and not first.startswith("/") and _known(Images(paths), first)
    if known and not known.works.cloud_init and provision.answers is None:
        yield Remark("user", f"“{known.name}” has no cloud-init: nothing will make that user")


def _known(images: Images, ref: str) -> CatalogImage | None:
    with suppress(WorkstationError):
        return images.catalog.get(ref.partition("/")[0])
    return None

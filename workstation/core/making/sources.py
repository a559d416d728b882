"""A profile from something else than a profile: an image of the catalog, a disk file, a disc."""

from pathlib import Path

from workstation.core.images import Images
from workstation.errors import NotFoundError, UsageError
from workstation.model.image import CatalogImage, Kind
from workstation.model.profile import Cdrom, Firmware, Profile
from workstation.model.units import exact_size
from workstation.paths import Paths
from workstation.profile.catalog import find_profile
from workstation.profile.load import load_profile

DISK = 20 * 2**30
"""Bytes of a disk where nobody says how large it shall be."""

MEMORY = "2 GiB"

BLANK = "blank"
"""The profile of an empty disk beside a disc."""


def reference(text: str) -> str:
    """What a person wrote for an image, as a profile has it: its name, or an absolute path."""
    looks_like_path = text.startswith(("/", "./", "../", "~")) or text == "."
    if looks_like_path or ("/" in text and Path(text).exists()):
        return str(Path(text).expanduser().absolute())
    return text


def from_image(paths: Paths, text: str) -> Profile:
    """What suits an image: its catalog's own profile, or one made for it.

    Raises NotFoundError for what is neither here nor in the catalog.
    """
    images, ref = Images(paths), reference(text)
    known = None if ref.startswith("/") else images.catalog.get(ref.partition("/")[0])
    if known and known.profile:
        return load_profile(find_profile(paths, known.profile))
    if known:
        return _around(known, ref)
    _check(images, ref)
    _check_format(images, ref)
    return Profile.model_validate(
        {
            "name": _name(ref),
            "description": f"made for the image {ref}"[:200],
            "cpu": {"cores": 2},
            "memory": MEMORY,
            "drives": [{"image": ref}],
        }
    )


def from_disc(paths: Paths, text: str) -> Profile:
    """An empty disk and that disc in its drive; a catalog's disc may have its own profile."""
    ref = reference(text)
    known = None if ref.startswith("/") else Images(paths).catalog.get(ref)
    if known and known.kind is not Kind.DISC:
        raise UsageError(f"“{ref}” is a disk, not a disc", hint=f"say it with --image {ref}")
    if known is None:
        _check(Images(paths), ref)
    profile = load_profile(find_profile(paths, (known and known.profile) or BLANK))
    if known and known.profile:
        return profile
    words = {"name": _name(ref), "description": f"made for the disc {ref}"[:200], "notes": ""}
    return with_disc(profile, ref).model_copy(update=words)


def _name(ref: str) -> str:
    return as_name(Path(ref).stem if ref.startswith("/") else ref.partition("/")[0])


def with_disc(profile: Profile, ref: str) -> Profile:
    """The profile with that disc in its first CD drive."""
    drives = (Cdrom(image=ref), *profile.cdroms[1:])
    return profile.model_copy(update={"cdroms": drives})


def _around(known: CatalogImage, ref: str) -> Profile:
    size = exact_size(max(DISK, known.disk or 0))
    is_disc = known.kind is Kind.DISC
    return Profile.model_validate(
        {
            "name": known.name,
            "description": known.description,
            "family": known.family,
            "notes": f"Login: {known.login}\n" if known.login else "",
            "cpu": {"cores": 2},
            "memory": MEMORY,
            "boot": {"firmware": Firmware.BIOS if known.works.bios else Firmware.UEFI},
            "drives": [{"size": size} if is_disc else {"image": ref, "size": size}],
            "cdroms": [{"image": ref}] if is_disc else [],
            "provision": {"user": known.user},
        }
    )


def _check(images: Images, ref: str) -> None:
    """Raise NotFoundError where the image is neither here nor to be had."""
    try:
        images.resolve(ref)
    except NotFoundError:
        name = ref.partition("/")[0]
        if ref.startswith("/") or "/" in ref:
            raise
        if name not in images.recipes():
            images.catalog.find(name)


def _check_format(images: Images, ref: str) -> None:
    """A disk of another program is imported: its format has to be looked at, and converted."""
    if ref.startswith("/") and Path(ref).suffix.lower() not in (".qcow2", ".raw", ".img"):
        raise UsageError(
            f"{ref} is no disk that a machine can stand on as it is",
            hint=f"import it: workstation import {ref}",
        )


def as_name(text: str) -> str:
    """As much of a text as can be the name of a machine."""
    from workstation.core.images.keep import name_of

    return name_of(Path(f"{text}.x"))[:40] or "machine"

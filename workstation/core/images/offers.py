"""The images that a machine can be made of: here, to be pulled, to be built, or to be brought."""

from dataclasses import dataclass
from pathlib import PurePath

from workstation.core.images.catalog import Entry
from workstation.core.images.library import Images
from workstation.core.images.manifest import Image
from workstation.core.imaging.recipe import DiskRecipe
from workstation.model.image import Kind
from workstation.model.units import format_size

PROBLEM = "has a problem"
"""The state of an entry that cannot be read; its description says why."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One name."""

    name: str
    state: str
    """Whether it is here, else how it comes: `here, 170 MiB`, `to pull, 430 MiB`."""
    description: str
    kind: Kind | None
    """None where it is neither a disk nor a disc, or its entry cannot be read."""
    path: str = ""
    """Where it is; empty where it is not."""
    login: str = ""

    @property
    def here(self) -> bool:
        return bool(self.path)


def offers(images: Images) -> list[Offer]:
    """All of them, by name."""
    have = {image.name: image for image in images.list()}
    entries = {entry.name: entry for entry in images.catalog.entries()}
    recipes = {name: images.recipe(name) for name in images.recipes()}
    own = images.own_files()
    found = {name: _known(entry) for name, entry in entries.items()}
    for name, recipe in recipes.items():
        kind = Kind.DISK if isinstance(recipe, DiskRecipe) else None
        found[name] = Offer(name, "to build", recipe.description, kind)
    for name, file in own.items():
        found[name] = _here(found.get(name), name, "here, a file of yours", str(file), [file.name])
    for name, image in have.items():
        state = f"here, {format_size(image.size)}"
        offer = _here(found.get(name), name, state, str(image.path), list(image.files))
        found[name] = offer if offer.description else _told(offer, image)
    return [found[name] for name in sorted(found)]


def _known(entry: Entry) -> Offer:
    image = entry.image
    if image is None:
        return Offer(entry.name, PROBLEM, entry.problem, None)
    state = f"to pull, {format_size(image.download)}" if image.urls else "to add"
    return Offer(entry.name, state, image.description, image.kind, login=image.login)


def _here(known: Offer | None, name: str, state: str, path: str, files: list[str]) -> Offer:
    """What is here is told by its files; what else is known of it, by its catalog or recipe."""
    disc = PurePath(files[0]).suffix == ".iso" if files else False
    kind = None if len(files) != 1 else Kind.DISC if disc else Kind.DISK
    description, login = (known.description, known.login) if known else ("", "")
    return Offer(name, state, description, kind, path, login)


def _told(offer: Offer, image: Image) -> Offer:
    words = f"from {image.origin}" if image.origin else f"Linux {image.kernel}".rstrip()
    return Offer(offer.name, offer.state, words, offer.kind, offer.path)

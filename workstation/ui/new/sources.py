"""What else a machine can be made from: each asks what it needs, and gives a profile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from workstation.ui.new.asking import Item, PathDialog, PickDialog
from workstation.ui.new.wish import Source, Wish, free_name, name_trouble

if TYPE_CHECKING:
    from textual.app import App

    from workstation.core.images.offers import Offer
    from workstation.core.workstation import Workstation
    from workstation.profile.catalog import ProfileEntry

Answer = Source | Wish | None

OURS = (".qcow2", ".raw", ".img")
"""Endings of disk images that a machine can stand on as they are."""


async def ask(app: App[Any], station: Workstation, kind: str) -> Answer:
    """By its key in `cards.SOURCES`. None where the person went back; raises what the core does."""
    return await _ASK[kind](app, station)


async def _image(app: App[Any], station: Workstation) -> Answer:
    from workstation.core.images.offers import PROBLEM

    offers = await station.making.offers()
    items = [_item(one) for one in offers if one.kind or one.state == PROBLEM]
    name = await app.push_screen_wait(PickDialog("Images", items))
    if not name:
        return None
    kind = next(one.kind for one in offers if one.name == name)
    make = station.making.from_disc if kind == "disc" else station.making.from_image
    return Source(await make(name), name)


def _item(offer: Offer) -> Item:
    text = f"here · {offer.description}" if offer.here else offer.description
    return Item(offer.name, offer.name, text, usable=offer.kind is not None)


async def _disc(app: App[Any], station: Workstation) -> Answer:
    text = "The file of an installer's disc, or of a system that runs from its disc (.iso)."
    path = await app.push_screen_wait(PathDialog("A disc", text))
    return Source(await station.making.from_disc(path), "blank") if path else None


async def _disk(app: App[Any], station: Workstation) -> Answer:
    text = (
        "A disk image (.qcow2, .raw, .img), which is copied, or one of another program (.vmdk,"
        " .vdi, .vhdx, .ova), which is converted. To use one where it lies, say first: workstation"
        " images add FILE --link"
    )
    path = await app.push_screen_wait(PathDialog("A disk file", text))
    if path and not path.lower().endswith(OURS):
        return await _named(app, station, path, clone=False)
    return Source(await station.making.from_image(path), "") if path else None


async def _clone(app: App[Any], station: Workstation) -> Answer:
    views = station.machines.values()
    items = [Item(view.name, view.name, f"{view.state}") for view in views]
    origin = await app.push_screen_wait(PickDialog("A branch of which machine?", items))
    if not origin:
        return None
    return await _named(app, station, origin, clone=True)


async def _named(app: App[Any], station: Workstation, origin: str, *, clone: bool) -> Answer:
    """Only a name is to be chosen: everything else is as it is there."""
    from workstation.ui.dialogs.name import NameDialog

    stem = origin.rpartition("/")[2].partition(".")[0].lower()
    question = NameDialog(
        f"A branch of {origin}" if clone else "A machine of another program",
        [_BRANCH if clone else _IMPORT],
        value=free_name(origin if clone else stem, station.machines),
        trouble=lambda name: name_trouble(name, station),
        yes="Branch off" if clone else "Import",
    )
    name = await app.push_screen_wait(question)
    return Wish(name, None, origin, start=False, imported=not clone) if name else None


_BRANCH = "A new machine on the same disks; nothing is copied."
_IMPORT = "Its disks are looked at, converted and kept; the file stays as it is."


async def _profiles(app: App[Any], station: Workstation) -> Answer:
    text = "A profile's file (.yaml), or a directory with profiles, such as a checkout."
    place = await app.push_screen_wait(PathDialog("A profile of yours", text, directories=True))
    entries = await station.making.profiles_at(place) if place else []
    path = str(entries[0].path) if len(entries) == 1 else ""
    if len(entries) > 1:
        path = await app.push_screen_wait(PickDialog("Profiles there", [*map(_profile, entries)]))
    if not path:
        return None
    profile = station.load_profile(path)
    return Source(profile, profile.name)


def _profile(entry: ProfileEntry) -> Item:
    text = entry.problem.removeprefix(f"{entry.path.parent}/") or entry.description
    return Item(str(entry.path), entry.name, text, usable=not entry.problem)


_ASK: dict[str, Callable[[App[Any], Workstation], Awaitable[Answer]]] = {
    "image": _image,
    "disc": _disc,
    "disk": _disk,
    "clone": _clone,
    "profiles": _profiles,
}

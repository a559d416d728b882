"""The images that a machine needs and that are not here: pulled or built, before it is made."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from workstation.core.images import Images
from workstation.errors import NotFoundError
from workstation.model.profile import Profile

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation


def references(profile: Profile) -> Iterator[str]:
    """Every image that the profile names."""
    yield from (drive.image for drive in profile.drives if drive.image)
    yield from (cdrom.image for cdrom in profile.cdroms if cdrom.image)
    yield from (ref for ref in (profile.boot.kernel, profile.boot.initrd) if ref)


def missing(images: Images, profile: Profile) -> dict[str, str]:
    """Images that are not here: each one's name, and `pull`, `build`, or empty: not to be had."""
    names, recipes = images.catalog.names(), images.recipes()
    found = {}
    for ref in references(profile):
        try:
            images.resolve(ref)
        except NotFoundError:
            name = ref if ref.startswith("/") else ref.partition("/")[0]
            found[name] = "pull" if name in names else "build" if name in recipes else ""
    return found


async def provide(station: "Workstation", profile: Profile) -> None:
    """Bring what is missing, several at once; what cannot be had is told when the machine is made.

    Raises as `Images.pull` and `Images.build` do.
    """
    wanted = await asyncio.to_thread(missing, station.images, profile)
    ways = {"pull": pull, "build": build}
    work = [ways[way](station, name) for name, way in wanted.items() if way]
    if work:
        await all_of(work)


async def all_of(work: Sequence[Coroutine[Any, Any, object]]) -> None:
    """At once; the first that fails ends the others, and is what is raised.

    One that a person cancels lets the others go on; then this counts as cancelled too.
    """
    tasks = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except* Exception as failures:
        raise first(failures) from None
    if any(task.cancelled() for task in tasks):
        raise asyncio.CancelledError


def first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = failures
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


async def pull(station: "Workstation", name: str) -> None:
    """Shown as an activity, in bytes."""
    with station.working(f"pull {name}", unit="B") as progress:
        await station.images.pull(name, progress)


async def build(station: "Workstation", name: str) -> None:
    """Shown as an activity, in parts of the whole."""
    with station.working(f"build {name}") as progress:

        def tell(step: str, part: float) -> None:
            progress(f"build {name}: {step}", part, 1)

        await station.images.build(name, tell)

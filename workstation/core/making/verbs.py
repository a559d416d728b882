"""The verbs on what comes before a machine is made, as the front-ends call them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.core.images import Image, Images
from workstation.core.images.keep import How
from workstation.core.images.offers import Offer, offers
from workstation.core.making import answers, remarks, sources, supplies
from workstation.core.making.remarks import Remark
from workstation.model.machine import MachineView
from workstation.model.profile import Profile
from workstation.paths import Paths
from workstation.profile.catalog import ProfileEntry, list_at
from workstation.profile.dump import dump_profile
from workstation.profile.load import parse_profile

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation

REVIEW = "new.yaml"
"""What the text that a person reviews is called in problems."""


class Making:
    """The verbs. All that read files do so in a thread."""

    def __init__(self, station: "Workstation") -> None:
        self._station = station

    @property
    def _paths(self) -> Paths:
        return self._station.paths

    # -- what it is made from -----------------------------------------------

    async def from_image(self, text: str) -> Profile:
        """Of an image's name or a disk file; raises NotFoundError, UsageError or InvalidError."""
        return await asyncio.to_thread(sources.from_image, self._paths, text)

    async def from_disc(self, text: str) -> Profile:
        """An empty disk beside a disc, by its name or file; raises as `from_image` does."""
        return await asyncio.to_thread(sources.from_disc, self._paths, text)

    async def profiles_at(self, text: str) -> list[ProfileEntry]:
        """The profiles in a directory of somebody's, or the one in a file; raises NotFoundError."""
        return await asyncio.to_thread(lambda: list_at(Path(text).expanduser().absolute()))

    async def offers(self) -> list[Offer]:
        """The images that are here or can be had, by name."""
        return await asyncio.to_thread(offers, self._station.images)

    def with_answers(self, profile: Profile, **texts: str) -> Profile:
        """The profile with what was typed, by the names of Answers; raises ProfileError."""
        return answers.apply(profile, answers.Answers(**texts))

    # -- whether it fits ----------------------------------------------------

    async def remarks(self, name: str, profile: Profile) -> list[Remark]:
        """What a person should know before that machine is made."""
        return await asyncio.to_thread(remarks.remarks, self._paths, name, profile)

    def text(self, profile: Profile) -> str:
        """The profile's YAML, to be looked at and changed."""
        lines = dump_profile(profile).splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("#"))

    def parse(self, text: str) -> Profile:
        """The profile that the YAML describes; raises ProfileError."""
        return parse_profile(text, REVIEW)

    # -- what it needs ------------------------------------------------------

    async def provide(self, profile: Profile) -> None:
        """Pull or build the images that are missing; raises as Images does."""
        await supplies.provide(self._station, profile)

    async def create(self, name: str, profile: Profile, *, based_on: str = "") -> MachineView:
        """Provide, then make: what a person wants who says “new”."""
        await self.provide(profile)
        return await self._station.create(name, profile, based_on=based_on)

    # -- images -------------------------------------------------------------

    async def pull(self, *names: str) -> list[Image]:
        """Download images of the catalog, several at once."""
        await supplies.all_of([supplies.pull(self._station, name) for name in names])
        return await self._found(names)

    async def build(self, name: str) -> Image:
        """Build an image from its recipe."""
        await supplies.build(self._station, name)
        return (await self._found([name]))[0]

    async def add(self, file: Path, name: str, how: How) -> Image:
        """Take a person's own file into the library."""
        with self._station.working(f"add {name}", unit="B") as progress:
            return await self._station.images.add(file, name, how, progress)

    async def _found(self, names: Sequence[str]) -> list[Image]:
        images: Images = self._station.images
        found = await asyncio.to_thread(lambda: [images.get(name) for name in names])
        return [image for image in found if image]

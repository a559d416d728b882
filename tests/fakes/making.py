"""What comes before a machine, without files: for the screens."""

from pathlib import Path
from typing import TYPE_CHECKING

from workstation.core.images.offers import Offer
from workstation.core.making.remarks import Remark
from workstation.core.making.verbs import Making
from workstation.errors import NotFoundError
from workstation.model.image import Kind
from workstation.model.machine import MachineView
from workstation.model.profile import NAME_PATTERN, Profile
from workstation.profile.catalog import ProfileEntry

if TYPE_CHECKING:
    from tests.fakes.workstation import FakeWorkstation


class FakeMaking(Making):
    """`said` are the remarks on any wish; names are looked at as the core does."""

    def __init__(self, station: "FakeWorkstation") -> None:
        super().__init__(station)
        self._fake = station
        self.said: list[Remark] = []
        self.there = [
            Offer("alpine", "to pull, 220 MiB", "Alpine Linux 3.23, small cloud image", Kind.DISK),
            Offer("debian-13", "here, 430 MiB", "Debian 13 (trixie)", Kind.DISK, "/images"),
            Offer("tools", "here, 9 MiB", "from /isos/tools.iso", Kind.DISC, "/images"),
        ]

    async def from_image(self, text: str) -> Profile:
        drive = {"image": text, "size": "20 GiB"}
        return Profile.model_validate({"name": Path(text).stem, "drives": [drive]})

    async def from_disc(self, text: str) -> Profile:
        return Profile.model_validate(
            {"name": "blank", "drives": [{"size": "20 GiB"}], "cdroms": [{"image": text}]}
        )

    async def profiles_at(self, text: str) -> list[ProfileEntry]:
        if "none" in text:
            raise NotFoundError(f"there is no profile in {text}")
        return [ProfileEntry(name, Path(f"/lab/{name}.yaml"), name) for name in ("appliance",)]

    async def offers(self) -> list[Offer]:
        return self.there

    async def remarks(self, name: str, profile: Profile) -> list[Remark]:
        import re

        said = list(self.said)
        if name in self._fake.machines:
            said.append(Remark("name", f"there is a machine “{name}” already", fatal=True))
        elif not re.fullmatch(NAME_PATTERN, name):
            said.append(Remark("name", f"“{name}” cannot be a machine's name", fatal=True))
        return said

    async def create(self, name: str, profile: Profile, *, based_on: str = "") -> MachineView:
        return await self._fake.create(name, profile, based_on=based_on)

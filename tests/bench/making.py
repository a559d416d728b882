"""A machine of an image that is here: the tenth of it as quick as the first, and without a copy."""

import random
from pathlib import Path

from tests.bench.home import home, progress
from tests.bench.measure import Clock, Figure, Series
from workstation.core.images.keep import How
from workstation.model.profile import Profile

IMAGE_MIB = 512
MACHINES = 20


async def create() -> list[Figure]:
    with home() as place:
        async with place.station() as station:
            await station.images.add(_image(place.paths.data / "big.raw"), "big", How.MOVE)
            profile = Profile.model_validate(
                {"name": "big", "drives": [{"image": "big", "size": "20 GiB"}],
                 "provision": {"user": "maria"}, "memory": "64 MiB"}
            )  # fmt: skip
            times = []
            for number in range(MACHINES):
                progress(f"create: {number + 1} of {MACHINES}")
                with Clock() as clock:
                    await station.create(f"vm-{number:02}", profile, based_on="big")
                times.append(clock.seconds)
            taken = _taken(place.paths.data) / 2**20
    assert taken < IMAGE_MIB / 4, f"{taken:.0f} MiB beside the image"
    tenth = Series(times[9:])
    return [Figure(f"create from an image of {IMAGE_MIB} MiB, the 10th on", tenth, limit=0.1)]


def _image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = random.Random(1).randbytes(2**20)
    with path.open("wb") as file:
        for _ in range(IMAGE_MIB):
            file.write(noise)
    return path


def _taken(place: Path) -> int:
    """Bytes on the disk, of each file once; what the image library has too does not count."""
    files = {(file.stat().st_ino): file.stat() for file in place.rglob("*") if file.is_file()}
    return sum(found.st_blocks * 512 for found in files.values() if found.st_nlink == 1)

"""Opening a bundle where it lies: from the file to a running guest, whatever its disk's size."""

import asyncio
from pathlib import Path

from tests.bench.home import Home, home, progress
from tests.bench.layers import NAME, raw_incoming, running
from tests.bench.measure import Clock, Figure, in_turns
from tests.test_guest import small
from workstation.core.bundle import unlocked
from workstation.core.bundle.export import Wish
from workstation.core.workstation import Workstation

SIZES = (1, 10)
"""GiB that the disk really has in the bundle."""
TURNS = 9

FORMS = {"compressed": Wish(compress=True), "encrypted": Wish(passphrase="eight words or fewer")}


async def open_() -> list[Figure]:
    with home() as first, home() as second:
        files = [await _bundle(first, size) for size in SIZES]
        # One command's front-end: an open screen would verify the disks behind it all the while.
        alone = Workstation(second.paths, front_end="bench", watch=False)
        async with alone as station, first.station() as maker:
            station.carry.keys.add(maker.carry.keys.own_fingerprint(), "the bench")
            memory = files[0].with_suffix(".memory")

            async def opened(file: Path) -> float:
                with Clock() as clock:
                    done = await station.inplace.open(file, NAME)
                    await station.start(NAME, force=True)
                assert done.resumes
                return clock.seconds

            async def ours() -> float:
                await _gone(station)
                return await opened(files[0])

            async def larger() -> float:
                await _gone(station)
                return await opened(files[1])

            async def raw() -> float:
                await station.kill(NAME)
                return await asyncio.to_thread(raw_incoming, second, memory)

            mine, other = await in_turns("open", ours, raw, TURNS)
            large, same = await in_turns("open", larger, ours, TURNS)
            others = [await _form(station, files[0], form) for form in FORMS]
            await _gone(station)
    small_, large_ = (f"open in place to running, disk of {size} GiB" for size in SIZES)
    return [
        Figure(small_, mine, raw=other, raw_name="raw QEMU, -incoming", limit=0.5),
        Figure(large_, large, raw=same, raw_name=f"the same with {SIZES[0]} GiB", ratio_limit=1.1),
        *others,
    ]


async def _form(station: Workstation, plain: Path, form: str) -> Figure:
    """The same bundle packed or encrypted, beside the plain one; each passphrase is stretched."""
    file, wish = plain.with_suffix(f".{form}"), FORMS[form]

    async def opened(path: Path, words: str = "") -> float:
        await _gone(station)
        unlocked.forget_all()
        with Clock() as clock:
            done = await station.inplace.open(path, NAME, passphrase=words)
            await station.start(NAME, force=True)
        assert done.resumes
        return clock.seconds

    await opened(plain)
    await station.carry.export(NAME, file, wish)  # while it runs: with its memory
    mine, other = await in_turns(
        f"open {form}", lambda: opened(file, wish.passphrase), lambda: opened(plain), TURNS
    )
    return Figure(
        f"open in place to running, {form}", mine, raw=other, raw_name="the same, plain", limit=0.5
    )


async def _gone(station: Workstation) -> None:
    if NAME in station.machines:
        if station.view(NAME).state.live:
            await station.kill(NAME)
        await station.delete(NAME)


async def _bundle(place: Home, size: int) -> Path:
    """A running guest with such a disk, in a file, and its memory in another beside it."""
    image = place.paths.images / f"disk-{size}.raw"
    image.parent.mkdir(parents=True, exist_ok=True)
    with image.open("xb") as made:
        made.truncate(size * 2**30)
    file = place.directory / f"{size}.vmbundle"
    async with running(place, small(drives=[{"image": str(image)}])) as station:
        progress(f"exporting a disk of {size} GiB")
        await station.carry.export(NAME, file)
        layer = station.layers.names_of(NAME).head.layer or ""
        memory = station.layers.store.directory(layer) / "memory"
        file.with_suffix(".memory").hardlink_to(memory)
        await station.kill(NAME)
        await station.delete(NAME)
    return file

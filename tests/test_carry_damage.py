"""Carrying without guests: what is cut off or damaged is refused, and nothing is left of it."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.carried import NOTHING, SECRET, disk, expected, left, made
from tests.laptops import file, laptop, other_home
from workstation.core.bundle.export import Wish
from workstation.core.workstation import Workstation
from workstation.errors import InvalidError, WorkstationError
from workstation.model.bundle import CHUNK

__all__ = ["file", "laptop", "other_home"]


# -- a pipe -------------------------------------------------------------------------------


async def piped(station: Workstation, laptop: Workstation, *, cut: int | None = None) -> None:
    """Export into a pipe and import from it at once; `cut` lets so many bytes through."""
    reader, writer = os.pipe()
    middle, end = os.pipe()

    def carry() -> None:
        done = 0
        with os.fdopen(reader, "rb") as source, os.fdopen(end, "wb") as target:
            while data := source.read1(2**16):
                target.write(data[: None if cut is None else max(0, cut - done)])
                done += len(data)

    async def send() -> None:
        try:
            await station.carry.stream("one", writer)
        finally:
            os.close(writer)

    async def receive() -> None:
        try:
            await laptop.carry.import_stream(middle)
        finally:
            os.close(middle)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.to_thread(carry))
        tasks.create_task(send())
        receiving = asyncio.ensure_future(receive())
    await receiving


async def test_through_a_pipe(station: Workstation, laptop: Workstation) -> None:
    await made(station, 1)
    await piped(station, laptop)
    assert disk(laptop, "one")[: 2 * CHUNK] == expected(1)
    assert left(laptop)[2] == []


@pytest.mark.parametrize("cut", [0, 100, 1024, CHUNK, 2 * CHUNK + 100_000])
async def test_of_a_stream_that_is_cut_off_nothing_is_left(
    station: Workstation, laptop: Workstation, cut: int
) -> None:
    await made(station, 1)
    with pytest.raises(InvalidError):
        await piped(station, laptop, cut=cut)
    assert left(laptop) == NOTHING


# -- damage -------------------------------------------------------------------------------


async def damage(
    station: Workstation,
    laptop: Workstation,
    file: Path,
    *,
    flips: int,
    cuts: int,
    secret: str = "",
) -> None:
    await made(station, 1, 2)
    await station.carry.export("one", file, Wish(passphrase=secret))
    laptop.carry.unlock(file, secret)
    good, chance = file.read_bytes(), random.Random(7)
    bad = file.with_name("bad.vmbundle")
    bad.write_bytes(good)

    async def refused(what: str) -> None:
        for act in (laptop.carry.inspect(bad, verify_all=True), laptop.carry.import_file(bad)):
            try:
                await act
            except WorkstationError:
                continue
            pytest.fail(f"{what} was not noticed")
        assert left(laptop) == NOTHING, what

    for _ in range(flips):
        at, bit = chance.randrange(len(good)), 1 << chance.randrange(8)
        with bad.open("r+b") as changed:
            changed.seek(at)
            changed.write(bytes([good[at] ^ bit]))
        await refused(f"bit {bit} of byte {at}")
        with bad.open("r+b") as changed:
            changed.seek(at)
            changed.write(good[at : at + 1])
    for _ in range(cuts):
        length = chance.randrange(len(good))
        bad.write_bytes(good[:length])
        await refused(f"the end from byte {length} on")
    bad.write_bytes(good)
    assert (await laptop.carry.import_file(bad)).layers == 2


async def test_damage_is_refused(station: Workstation, laptop: Workstation, file: Path) -> None:
    await damage(station, laptop, file, flips=100, cuts=50)


async def test_damage_of_an_encrypted_bundle_is_refused(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    await damage(station, laptop, file, flips=25, cuts=10, secret=SECRET)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_all_damage_is_refused(station: Workstation, laptop: Workstation, file: Path) -> None:
    await damage(station, laptop, file, flips=1000, cuts=500)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_all_damage_of_an_encrypted_bundle_is_refused(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    await damage(station, laptop, file, flips=1000, cuts=500, secret=SECRET)


async def test_a_layer_that_is_damaged_here_is_not_exported(
    station: Workstation, file: Path
) -> None:
    await made(station, 1)
    await station.layers.take_digests()
    store = station.layers.store
    layer = station.layers.names_of("one").head.layer or ""
    image = store.directory(layer) / "drive0.qcow2"
    image.chmod(0o600)
    with image.open("r+b") as changed:
        changed.seek(CHUNK)
        changed.write(b"flipped")
    with pytest.raises(InvalidError, match="is not as it was frozen"):
        await station.carry.export("one", file)
    assert list(file.parent.glob("*.vmbundle*")) == []
    assert list(file.parent.glob(".*.part")) == []

"""Bundles: packed, added to and brought in, beside the tools that a person would take instead."""

import asyncio
import os
import random
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.bench.home import Home, home, progress
from tests.bench.measure import Clock, Figure, Series, in_turns
from tests.conftest import overlay, tiny
from workstation.core.bundle.export import Wish
from workstation.core.workstation import Workstation

NAME = "vm"
SIZE = 2**30
"""Bytes of what this computer has in /usr, as a disk."""
CORES = max(2, os.cpu_count() or 1)


@asynccontextmanager
async def machine(place: Home) -> AsyncIterator[Workstation]:
    """A machine that is off, on a disk that is full of real files."""
    progress("filling a disk")
    data, image = place.directory / "data.raw", place.directory / "data.qcow2"
    tar = f"tar -cf - /usr/lib /usr/bin /usr/share 2>/dev/null | head -c {SIZE} >{data}"
    subprocess.run(["/bin/sh", "-c", tar], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", data, image], check=True)
    data.unlink()
    async with place.station() as station:
        await station.create(NAME, tiny(drives=[{"image": str(image)}]))
        await station.layers.take_digests()
        os.sync()
        yield station


def _shell(command: str) -> float:
    """A person's own command, its file on the disk at its end as ours is."""
    with Clock() as clock:
        subprocess.run(["/bin/sh", "-c", command], check=True)
    return clock.seconds


async def export() -> list[Figure]:
    with home() as place:
        async with machine(place) as station:
            store = station.layers.store
            layer = store.directory(store.ids()[0])
            ours, other = place.directory / "ours.vmbundle", place.directory / "other"

            async def pack() -> float:
                ours.unlink(missing_ok=True)
                with Clock() as clock:
                    await station.carry.export(NAME, ours, Wish(compress=True))
                return clock.seconds

            def beside(command: str) -> Callable[[], "asyncio.Future[float]"]:
                full = f"rm -f {other}; {command}; sync {other}"
                return lambda: asyncio.ensure_future(asyncio.to_thread(_shell, full))

            tools = {
                "`qemu-img convert -c`, zstd": f"qemu-img convert -O qcow2 -c -o"
                f" compression_type=zstd -W -m {CORES} {layer}/drive0.qcow2 {other}",
                "`tar | zstd -T0`": f"tar -C {layer} -cf - . | zstd -q -T0 -o {other}",
            }
            figures = []
            for name, command in tools.items():
                mine, raw = await in_turns("export", pack, beside(command), 5)
                share = ours.stat().st_size / other.stat().st_size
                text = f"{name}; ours has {share:.2f} of its size"
                figures.append(
                    Figure(f"export, compressed, {SIZE >> 20} MiB", mine, raw=raw, raw_name=text,
                           ratio_limit=1)
                )  # fmt: skip
            return [*figures, await _again(station, place)]


async def _again(station: Workstation, place: Home) -> Figure:
    """The first export, and the second one after one per cent of the disk was written."""
    first, second = [], []
    chance = random.Random(1)
    for number in range(4):
        progress(f"export again: {number + 1} of 4")
        file = place.directory / f"again-{number}.vmbundle"
        with Clock() as clock:
            await station.carry.export(NAME, file)
        first.append(clock.seconds)
        await asyncio.to_thread(_write, place, chance.randbytes(SIZE // 100))
        with Clock() as clock:
            await station.carry.export(NAME, file)
        second.append(clock.seconds)
        file.unlink()
    return Figure(
        "export again, 1 % written since", Series(second[1:]), raw=Series(first[1:]),
        raw_name="the first time", ratio_limit=0.05,
    )  # fmt: skip


def _write(place: Home, data: bytes) -> None:
    source = place.directory / "written"
    source.write_bytes(data)
    disk = overlay(place.paths.machine(NAME))
    command = f"write -q -s {source} 0 {len(data) // 65_536 * 65_536}"
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", command, disk], check=True)


async def import_() -> list[Figure]:
    with home() as place:
        async with machine(place) as station:
            file, copied = place.directory / "vm.vmbundle", place.directory / "copy"
            await station.carry.export(NAME, file)
            await station.delete(NAME)

            async def ours() -> float:
                with Clock() as clock:
                    came = await station.carry.import_file(file)
                await station.delete(came.name)
                return clock.seconds

            command = f"rm -f {copied}; cp {file} {copied}; sha256sum {copied} >/dev/null"

            async def raw() -> float:
                return await asyncio.to_thread(_shell, f"{command}; sync {copied}")

            mine, other = await in_turns("import", ours, raw, 5)
    return [
        Figure(f"import, {SIZE >> 20} MiB", mine, raw=other, raw_name="`cp`, `sha256sum`, `sync`",
               ratio_limit=1.1),
    ]  # fmt: skip

"""What tests of carrying without guests put on a disk, and what they find of it."""

import json
import os
import random
import subprocess

from tests.conftest import overlay, tiny
from workstation.core.workstation import Workstation
from workstation.model.bundle import CHUNK

CLUSTER = 65_536
"""Of a qcow2: what is written in whole ones takes nothing from below."""


def put(station: Workstation, name: str, seed: int, size: int = 2 * CHUNK) -> None:
    """What no other seed gives lies on the machine's disk."""
    data = station.paths.data / "written"
    data.write_bytes(random.Random(seed).randbytes(size))
    disk = overlay(station.paths.machine(name))
    command = f"write -s {data} 0 {size}"
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", command, disk], check=True, capture_output=True)
    data.unlink()


def disk(station: Workstation, name: str, tag: str = "") -> bytes:
    """The beginning of the machine's disk, as a guest sees it."""
    store, history = station.layers.store, station.layers.names_of(name)
    top = history.snapshots[tag] if tag else history.head.layer
    node: dict[str, object] | None = None
    for one in reversed(store.disk_files(top, "drive0")):
        below = {"backing": node} if one.format == "qcow2" else {}
        inner = {"driver": "file", "filename": str(one.path)}
        node = {"driver": one.format, "file": inner, **below}
    target = station.paths.data / "read"
    command = ["qemu-img", "convert", "-O", "raw", f"json:{json.dumps(node)}", str(target)]
    subprocess.run(command, check=True)
    try:
        return target.read_bytes()
    finally:
        target.unlink()


async def made(station: Workstation, *seeds: int) -> None:
    """A machine with a snapshot for each seed, named `s` and the seed; its head is blank."""
    await station.create("one", tiny(drives=[{"size": "32 MiB"}]))
    for seed in seeds:
        put(station, "one", seed)
        await station.layers.snapshot("one", f"s{seed}")


def expected(seed: int) -> bytes:
    return random.Random(seed).randbytes(2 * CHUNK)


def left(station: Workstation) -> tuple[list[str], list[str], list[str]]:
    """Machines, layers and what is half made."""
    paths = station.paths
    directories = (paths.machines, paths.layers, paths.making)
    found = [sorted(os.listdir(one)) if one.is_dir() else [] for one in directories]
    return found[0], found[1], found[2]


NOTHING: tuple[list[str], list[str], list[str]] = ([], [], [])


async def trusted(laptop: Workstation, station: Workstation) -> None:
    laptop.carry.keys.add(station.carry.keys.own_fingerprint(), "one")


SECRET = "correct horse"

"""Disks packed so that QEMU reads them where they lie: qemu-img says whether they are right."""

import os
import random
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.laptops import demo, file, laptop, other_home, trust
from tests.test_layers import recall, remember
from workstation.core.bundle import chunks, shrink
from workstation.core.bundle.export import Wish
from workstation.core.bundle.importing import Words
from workstation.core.bundle.source import SourceFile
from workstation.core.workstation import Workstation
from workstation.qemu import clusters

pytestmark = [pytest.mark.qemu]

__all__ = ["demo", "file", "laptop", "other_home"]


def run(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def packed(source: Path, target: Path, image_format: str, *, bottom: bool) -> None:
    descriptor, made = os.open(source, os.O_RDONLY), os.open(target, os.O_RDWR | os.O_CREAT)
    try:
        file = SourceFile(source.name, descriptor, source.stat().st_size)
        known = shrink.readable(file, image_format)
        assert known
        with chunks.workers() as workers:
            size = shrink.shrink(
                file, known, partial(put, made), workers,
                lambda done: None, bottom=bottom,
            )  # fmt: skip
        os.ftruncate(made, size)
    finally:
        os.close(descriptor)
        os.close(made)


def put(descriptor: int, data: bytes, at: int) -> None:
    assert os.pwrite(descriptor, data, at) == len(data)


def written(image: Path, seed: int, image_format: str) -> None:
    """Text, noise and zeros in places, some of them over each other."""
    chance, commands = random.Random(seed), []
    for number in range(30):
        at, size = chance.randrange(200) * 65_536 + chance.choice([0, 512]), chance.choice(
            [512, 65_536, 262_144, 1_000_448]
        )  # fmt: skip
        kind = chance.choice(["pattern", "noise", "zero"])
        if kind == "zero":
            commands.append(f"write -q -z {at} {size}")
        elif kind == "pattern":
            commands.append(f"write -q -P {number + 1} {at} {size}")
        else:
            noise = image.with_name(f"noise-{number}")
            noise.write_bytes(chance.randbytes(size))
            commands.append(f"write -q -s {noise} {at} {size}")
    run("qemu-io", "-f", image_format, *(word for one in commands for word in ("-c", one)), image)


@pytest.mark.parametrize("size", [0, 4096, 65_536, 2 * 2**20])
def test_what_stands_on_nothing_is_the_same(tmp_path: Path, size: int) -> None:
    """Of clusters of that size; of a raw image, which has none."""
    image, made = tmp_path / "image", tmp_path / "made"
    image_format = "qcow2" if size else "raw"
    options = ["-o", f"cluster_size={size}"] if size else []
    run("qemu-img", "create", "-q", "-f", image_format, *options, image, "20M")
    written(image, size, image_format)
    packed(image, made, image_format, bottom=True)
    run("qemu-img", "check", "-f", "qcow2", made)
    run("qemu-img", "compare", "-f", image_format, "-F", "qcow2", image, made)


def test_an_overlay_shows_zeros_and_lets_the_rest_through(tmp_path: Path) -> None:
    below, above, made = (tmp_path / name for name in ("below", "above", "made"))
    run("qemu-img", "create", "-q", "-f", "qcow2", below, "20M")
    written(below, 1, "qcow2")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", below, "-F", "qcow2", above)
    written(above, 2, "qcow2")
    packed(above, made, "qcow2", bottom=False)
    run("qemu-img", "check", "-f", "qcow2", made)
    run("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", below, made)
    run("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", above, made)


def test_what_is_packed_already_or_out_of_the_ordinary_is_left_as_it_is(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    run("qemu-img", "create", "-q", "-f", "qcow2", plain, "20M")
    written(plain, 3, "qcow2")
    for name, options in (
        ("zlib", ["-c"]),
        ("extended", ["-o", "extended_l2=on"]),
        ("tiny", ["-o", "cluster_size=512"]),
    ):
        other = tmp_path / name
        run("qemu-img", "convert", "-O", "qcow2", *options, plain, other)
        with other.open("rb") as opened:
            read = lambda at, size: os.pread(opened.fileno(), size, at)  # noqa: E731
            assert clusters.read(read, other.stat().st_size) is None


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("words", ["", "correct horse battery staple"])
async def test_a_compressed_bundle_runs_where_it_lies_and_is_added_to(
    station: Workstation, laptop: Workstation, file: Path, words: str
) -> None:
    """With its history; what is added is packed too, encrypted or not."""
    first = await station.carry.export("one", file, Wish(compress=True, passphrase=words))
    await remember(station, "one", "third")
    again = await station.carry.export("one", file, Wish(passphrase=words))
    assert (again.layers, again.added) == (first.layers + 1, 1)
    await station.kill("one")
    trust(laptop, station)

    report = await laptop.carry.inspect(file, verify_all=True, passphrase=words)
    assert report.in_place
    assert all(one.made_of for one in report.manifest.layers)
    assert _with_packed_clusters(laptop, file, words)
    await laptop.inplace.open(file, passphrase=words)
    await laptop.start("one")
    assert await recall(laptop, "one") == ("third", "third")
    await laptop.layers.revert("one", "before", discard=True)
    assert await recall(laptop, "one") == ("first", "first")
    added = await laptop.carry.export("one", file)
    assert added.added < added.layers
    await laptop.kill("one")
    came = await station.carry.import_file(file, Words(name="two"), passphrase=words)
    assert came.shared == 0  # packed, they are other layers than those that they were made of


def _with_packed_clusters(laptop: Workstation, file: Path, words: str) -> bool:
    """Whether a disk's header says that its clusters are zstd's: the byte at 104."""
    bundle = laptop.carry.bundle(file, words)
    layer = bundle.manifest.layers[0].layer
    with bundle.extent(layer.id, layer.drives["drive0"].name).open() as disk:
        return disk.read(105)[104] == 1

"""A disk packed so that QEMU reads it where it lies: a qcow2 of clusters compressed by zstd.

Written here and not by qemu-img, which cannot write into the middle of a file, and packs at zstd's
third level: this is as fast as two threads pack. What stands on nothing gets large clusters, for
they pack better; an overlay keeps its own, since a larger one could be only partly in it.
"""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import zstandard

from workstation.core.bundle.chunks import Workers
from workstation.core.bundle.source import SourceFile
from workstation.model.bundle import CHUNK
from workstation.qemu import clusters
from workstation.qemu.clusters import Clusters, Packed

LEVEL = 2
"""Of zstd: docs/figures.md has what the others cost, and bring."""

LARGE = 2**18
"""Bytes of a cluster of what stands on nothing."""

Told = Callable[[int], None]

_own = threading.local()


class Cluster(NamedTuple):
    number: int
    data: bytes
    """Empty for zeros."""
    packed: bool


def readable(file: SourceFile, image_format: str) -> Clusters | None:
    """What can be packed; None for what is left as it is: packed already, or not ordinary."""
    if file.size < LARGE or (file.stored and not file.stored.in_one_piece):
        return None
    return (
        clusters.of_raw(file.size) if image_format == "raw" else clusters.read(file.at, file.size)
    )


def shrink(
    file: SourceFile,
    known: Clusters,
    write: Callable[[bytes, int], None],
    workers: Workers,
    told: Told,
    *,
    bottom: bool,
) -> int:
    """Write it anew by `write`, which gets bytes and their place in it; returns its size.

    `bottom` says that nothing lies below it. The file's digests are not looked at.
    """
    size = max(known.cluster, LARGE) if bottom else known.cluster
    made = Packed(write, known.size, size)
    work = partial(_batch, file, known, size, bottom)
    for batch in workers.map(work, _batches(known, size)):
        for one in batch:
            if one.packed:
                made.packed(one.number, one.data)
            elif one.data:
                made.plain(one.number, one.data)
            else:
                made.zero(one.number)
        told(0)
    return made.finish()


def _batches(known: Clusters, size: int) -> Iterator[range]:
    """The new clusters that anything is in, some at a time."""
    for part in known.ranges():
        last = -(-part.stop // size)
        for first in range(part.start // size, last, CHUNK // size):
            yield range(first, min(first + CHUNK // size, last))


def _batch(
    file: SourceFile, known: Clusters, size: int, bottom: bool, numbers: range
) -> list[Cluster]:
    """Read and pack those clusters; what is not here, or zero over nothing, is left out."""
    ratio, found = size // known.cluster, []
    places = known.places(numbers.start * ratio, len(numbers) * ratio)
    for index, number in enumerate(numbers):
        mine = places[index * ratio : (index + 1) * ratio]
        if all(place is None for place in mine):
            continue
        data = _gathered(file, mine, known.cluster) if any(map(_holds, mine)) else b""
        if not data.strip(b"\0"):
            if not bottom:
                found.append(Cluster(number, b"", False))
            continue
        packed = _compressor().compress(data)
        smaller = len(packed) < size - 512
        found.append(Cluster(number, packed if smaller else data, smaller))
    return found


def _holds(place: int | None) -> bool:
    return place is not None and place != clusters.ZEROS


def _gathered(file: SourceFile, places: list[int | None], cluster: int) -> bytes:
    """Those clusters in a row, neighbours read at once."""
    parts, index = [], 0
    while index < len(places):
        place, count = places[index], 1
        if place is not None and _holds(place):
            while places[index + count : index + count + 1] == [place + count * cluster]:
                count += 1
            parts.append(file.at(place, count * cluster).ljust(count * cluster, b"\0"))
        else:
            parts.append(bytes(cluster))
        index += count
    return b"".join(parts)


def _compressor() -> zstandard.ZstdCompressor:
    known: zstandard.ZstdCompressor | None = getattr(_own, "compressor", None)
    if known is None:
        known = _own.compressor = zstandard.ZstdCompressor(level=LEVEL)
    return known

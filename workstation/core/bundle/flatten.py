"""One compact layer of all that a machine stands on, for whoever does not need its history."""

import asyncio
from pathlib import Path

from workstation.core.activities import Progress
from workstation.core.bundle.source import SourceLayer
from workstation.core.bundle.strip import stripped
from workstation.core.layers import heads
from workstation.core.layers.store import Store
from workstation.core.room import IN_THE_LIBRARY, check_room
from workstation.model.host import HostFacts
from workstation.model.layer import Layer, LayerFile
from workstation.qemu import image, qcow2

_LOOK_SECONDS = 0.2


async def flatten(
    store: Store,
    facts: HostFacts,
    layer: Layer,
    directory: Path,
    progress: Progress,
    *,
    memory: bool,
    compress: bool,
) -> SourceLayer:
    """A layer in that directory, its files not yet open, that stands on nothing.

    Compressed, its disks are qcow2 files of zstd clusters, which QEMU reads in place.
    """
    chains = {drive: store.disk_files(layer.id, drive) for drive in heads.drive_ids(layer.profile)}
    total = sum(file.taken() for chain in chains.values() for file in chain)
    check_room(directory, total, IN_THE_LIBRARY)
    sizes = {
        drive: qcow2.virtual_size(chain[0], chain[0].format) for drive, chain in chains.items()
    }
    watching = asyncio.ensure_future(_watch(directory, total, progress))
    try:
        for drive, chain in chains.items():
            target = directory / f"{drive}.qcow2"
            await image.flatten(facts.qemu_img, chain, target, compress=compress)
    finally:
        watching.cancel()
    clean = stripped(layer.profile, sizes, memory=memory and layer.memory is not None)
    await asyncio.to_thread(_take_along, store, layer, directory, clean.memory)
    flat = layer.model_copy(
        update={
            "id": heads.new_id(),
            "parent": None,
            "profile": clean.profile,
            "drives": {drive: LayerFile(name=f"{drive}.qcow2") for drive in chains},
            "memory": layer.memory if clean.memory else None,
        }
    )
    return SourceLayer(flat, (), clean.left_out)


def _take_along(store: Store, layer: Layer, directory: Path, memory: bool) -> None:
    """What the layer has besides its disks."""
    drives = {file.name for file in layer.drives.values()}
    left = set() if memory else heads.of_memory(layer)
    for name in store.contents(layer.id):
        if name not in drives | left:
            (directory / name).parent.mkdir(exist_ok=True)
            store.extent(layer.id, name).copy(directory / name)


async def _watch(directory: Path, total: int, progress: Progress) -> None:
    """qemu-img says nothing that could be told; what it has written is seen."""
    while True:
        written = _taken(directory)
        progress("", min(written, total), total)
        await asyncio.sleep(_LOOK_SECONDS)


def _taken(directory: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in directory.glob("*.qcow2"))

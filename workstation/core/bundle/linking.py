"""A bundle's layers in the local store without their disks and memory: those stay where they are.

What is small is copied, verified: pictures, kernels, the TPM's state. A file that several layers
have (a kernel, mostly) is copied once.
"""

from contextlib import ExitStack
from pathlib import Path

from workstation.core.bundle import arrive
from workstation.core.bundle import origin as origins
from workstation.core.bundle.arrive import Arrival, Ready
from workstation.core.bundle.origin import Origin
from workstation.core.bundle.reader import Bundle
from workstation.core.inplace import carried, links
from workstation.core.inplace.links import Link
from workstation.core.layers import digests
from workstation.core.layers.store import Store
from workstation.core.library import library
from workstation.errors import InvalidError
from workstation.model.bundle import StoredFile, StoredLayer, staying_disks
from workstation.model.layer import Layer
from workstation.qemu import qcow2


def link(stack: ExitStack, store: Store, arrival: Arrival, origin: Origin) -> list[Ready]:
    """Directories that live as long as the stack; they last. Call it in a thread.

    Raises InvalidError where a disk could not be read in place.
    """
    carried.remember(store.paths.bundles, arrival.bundle)
    copied: dict[tuple[int, str], Path] = {}
    return [
        _linked(stack, store, arrival.bundle, stored, origin, copied) for stored in arrival.layers
    ]


def _linked(
    stack: ExitStack,
    store: Store,
    bundle: Bundle,
    stored: StoredLayer,
    origin: Origin,
    copied: dict[tuple[int, str], Path],
) -> Ready:
    directory = stack.enter_context(store.making())
    stays = staying(stored)
    _check_disks(bundle, stored.layer, stays)
    for file in stored.files:
        if file.name not in stays:
            _put(bundle, file, directory / file.name, copied)
    arrive.check_disks(stored.layer, directory)
    places = {file.name: [file.offset, file.size] for file in stored.files if file.name in stays}
    links.write(directory, Link(bundle.manifest.id, places))
    contents = stored.contents()
    digests.record(directory, contents)
    origins.write(directory, origin)
    store.describe(stored.layer, directory)
    library.sync_tree(directory)
    return Ready(stored.layer, directory, contents)


def staying(stored: StoredLayer) -> set[str]:
    """The names of a layer's files that need not be copied to be used."""
    layer = stored.layer
    disks = {file.name for file in stored.files if file.in_one_piece} & staying_disks(layer)
    return disks | ({layer.memory.name} if layer.memory else set())


def _check_disks(bundle: Bundle, layer: Layer, stays: set[str]) -> None:
    """No QEMU program has seen these headers yet, and none sees a bad one."""
    for file in layer.drives.values():
        if file.name not in stays:
            continue
        place = bundle.extent(layer.id, file.name)
        if not place.there():
            raise InvalidError(f"{bundle.path} is not whole: {file.name} is cut off")
        if file.format == "qcow2":
            qcow2.check_self_contained(place)


def _put(
    bundle: Bundle, file: StoredFile, target: Path, copied: dict[tuple[int, str], Path]
) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    key = (file.size, file.digests)
    if key in copied:
        target.hardlink_to(copied[key])
    else:
        carried.put(bundle, file, target)
        copied[key] = target

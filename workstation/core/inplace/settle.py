"""Settling in: what lies in a bundle is copied into the library, while the guest runs from it.

A layer's content is the same wherever it lies. So its files come into its directory one by one,
each verified and lasting before it has its name there, and from then on go before the bundle's
(store.py). Last the running QEMUs are told (repoint.py), and then the layer forgets the bundle.
Whatever is cut off where, every file is read from where it is whole, and the next settling goes on.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from workstation.core import atomic
from workstation.core.bundle.work import Told, in_thread
from workstation.core.inplace import carried, links
from workstation.core.inplace.links import LINK, Link
from workstation.core.inplace.repoint import point_again
from workstation.core.layers import heads
from workstation.core.layers.store import Store
from workstation.core.library import names
from workstation.core.machine import verbs
from workstation.core.room import IN_THE_LIBRARY, check_room
from workstation.errors import WorkstationError
from workstation.model.layer import History
from workstation.model.machine import Verb
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.core.activities import Progress
    from workstation.core.workstation import Workstation


@dataclass(frozen=True)
class Settled:
    """What settling in has done."""

    copied: int
    """Bytes."""
    layers: int
    still: tuple[str, ...] = ()
    """Machines that run and could not be told: they read in the bundle until they are stopped."""


async def settle(station: "Workstation", name: str, progress: "Progress") -> Settled:
    """Copy all that the machine's layers have in bundles; at the return none is needed for it.

    Raises NotFoundError where a bundle is not there, InvalidError where it is not whole, HostError
    without room; what was copied until then stays copied.
    """
    store, paths = station.layers.store, station.paths
    with store.adding():
        wanted = linked(store, heads.read_history(paths.machine(name)))
        missing = {layer: _missing(store, layer, link) for layer, link in wanted.items()}
        size = sum(link.files[file][1] for layer, link in wanted.items() for file in missing[layer])
        check_room(paths.data, size, IN_THE_LIBRARY)
        await in_thread(partial(_copy_all, store, wanted, missing), progress, size)
        still = await _tell(station, set(wanted))
        if not still:
            await asyncio.to_thread(_forget, store, wanted)
            links.touch(paths.bundles)
            paths.machine(name).alarm.unlink(missing_ok=True)
    return Settled(size, len(wanted), still)


def linked(store: Store, history: History) -> dict[str, Link]:
    """The layers of a machine that have files in bundles: first those that its head stands on."""
    below = [layer.id for layer in reversed(store.chain(history.head.layer))]
    others = sorted(store.reachable(heads.roots(history)) - set(below))
    return {layer: link for layer in (*below, *others) if (link := store.link(layer))}


def _missing(store: Store, layer: str, link: Link) -> list[str]:
    """The disks first: those are what a running guest reads."""
    directory = store.directory(layer)
    away = [name for name in link.files if not (directory / name).exists()]
    return sorted(away, key=lambda name: (name == heads.MEMORY, name))


def _copy_all(
    store: Store, wanted: dict[str, Link], missing: dict[str, list[str]], told: Told
) -> None:
    for memory in (False, True):
        for layer, link in wanted.items():
            for name in missing[layer]:
                if (name == heads.MEMORY) is memory:
                    _copy(store, layer, link, name, told)


def _copy(store: Store, layer: str, link: Link, name: str, told: Callable[[int], None]) -> None:
    bundle = store.bundle(link.bundle)
    with store.making() as workplace:
        file = workplace / name
        carried.put(bundle, bundle.file(layer, name), file, told)
        file.chmod(0o400)
        atomic.sync(file)
        file.rename(store.directory(layer) / name)
    atomic.sync_directory(store.directory(layer))


async def _tell(station: "Workstation", settled: set[str]) -> tuple[str, ...]:
    """Every QEMU that reads one of those layers; returns those that could not be told."""
    still = []
    for name in users(station.paths, station.layers.store, settled):
        machine = station.machine(name)
        try:
            await machine.settled()
            if machine.pair():
                with verbs.holding(machine, Verb.SETTLE, station.front_end):
                    await point_again(machine, station.layers.store)
        except WorkstationError as error:
            machine.log(f"it still reads in the bundle: {error}")
            still.append(name)
    return tuple(still)


def users(paths: Paths, store: Store, layers: set[str]) -> list[str]:
    """The machines that stand on one of those layers."""
    found = []
    for name in names.names(paths):
        with suppress(WorkstationError):
            history = heads.read_history(paths.machine(name))
            if layers & store.reachable(heads.roots(history)):
                found.append(name)
    return found


def _forget(store: Store, layers: Iterable[str]) -> None:
    """The layers are the library's own from now on."""
    for layer in layers:
        directory = store.directory(layer)
        (directory / LINK).unlink(missing_ok=True)
        atomic.sync_directory(directory)

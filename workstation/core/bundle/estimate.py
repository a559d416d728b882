"""How much an export would write, before it starts and without freezing anything."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workstation.core.bundle import guess, planning, target
from workstation.core.bundle.export import OVERHEAD, Wish
from workstation.core.bundle.reader import Bundle
from workstation.core.host import media
from workstation.core.host.media import Medium
from workstation.core.layers import heads
from workstation.core.layers.store import Store
from workstation.errors import LockedError, WorkstationError
from workstation.model.layer import History, Layer

if TYPE_CHECKING:
    from workstation.core.machine.machine import Machine
    from workstation.core.workstation import Workstation


class Estimate(NamedTuple):
    """Sizes in bytes."""

    new: int
    """What would be written, about: how small memory becomes is told from samples."""
    memory: int
    """How much of that is memory of guests, packed."""
    kept: int = 0
    """What the file holds already; 0 for a new one."""
    trouble: str = ""
    """Why it cannot be written there; empty where it can."""
    mend: str = ""
    medium: Medium | None = None
    """What the file would lie on."""
    locked: bool = False
    """The file is there, and encrypted: how much it lacks is known with its passphrase only."""


def estimate(station: "Workstation", name: str, path: Path, wish: Wish) -> Estimate:
    """Of an export with those words to that file; call it in a thread.

    The memory of a guest that runs is counted by what its QEMU holds now.
    """
    path = target.within(path, name)
    machine = station.machine(name)
    onto, trouble, locked = None, None, False
    try:
        if machine.definition:
            onto = planning.to_add_to(
                path, wish, station.carry.keys, machine.definition,
                station.layers.store.keyring.vault,
            )  # fmt: skip
    except LockedError:
        locked = True
    except WorkstationError as error:
        trouble = error
    found = _sizes(station, machine, onto, wish)
    if locked:
        found = found._replace(kept=path.stat().st_size, locked=True)
    try:
        # What is added to a locked one may be anything from nothing to all.
        size = found.kept + (0 if locked else found.new + OVERHEAD)
        target.check_fits(path, size, found.kept)
    except WorkstationError as error:
        trouble = trouble or error
    found = found._replace(medium=media.medium_of(path.parent))
    return found._replace(trouble=str(trouble), mend=trouble.hint) if trouble else found


def _sizes(station: "Workstation", machine: "Machine", onto: Bundle | None, wish: Wish) -> Estimate:
    store, history = station.layers.store, heads.read_history(machine.paths)
    there = set(onto.ids()) if onto else set()
    layers = [store.read(one) for one in store.reachable(heads.roots(history)) - there]
    disks = sum(_disks(store, layer, packed=wish.compress) for layer in layers)
    suspended = _suspended(machine, history)
    disks += heads.written(machine.paths, history.head.id)
    if suspended:
        disks -= suspended.stat().st_blocks * 512
    memory = _memories(station, machine, layers, wish) if wish.memory else 0
    return Estimate(disks + memory, memory, onto.end if onto else 0)


def _memories(station: "Workstation", machine: "Machine", layers: list[Layer], wish: Wish) -> int:
    """Packed. A flat bundle has that of one moment only: of now, or what a start goes on from."""
    store, history = station.layers.store, heads.read_history(machine.paths)
    now = _now(station, machine, _suspended(machine, history))
    if not wish.flatten:
        return now + sum(_memory(store, layer) for layer in layers)
    top = [layer for layer in layers if layer.id == history.head.layer]
    return now or sum(_memory(store, layer) for layer in top if history.head.resume)


def _disks(store: Store, layer: Layer, *, packed: bool) -> int:
    memory = store.bytes_of(layer.id, layer.memory.name) if layer.memory else 0
    size = store.size(layer.id) - memory
    if not packed:
        return size
    files = [store.directory(layer.id) / file.name for file in layer.drives.values()]
    there = [file for file in files if file.exists()]
    return int(size * min(map(guess.ratio, there), default=1.0)) if there else size


def _memory(store: Store, layer: Layer) -> int:
    if not layer.memory:
        return 0
    name, link = layer.memory.name, store.link(layer.id)
    local = store.directory(layer.id) / name
    if local.exists() or not link:
        return int(store.bytes_of(layer.id, name) * guess.ratio(local))
    try:
        return store.bundle(link.bundle).file(layer.id, name).stored
    except WorkstationError:  # the stick is away: the export will say so
        return int(store.bytes_of(layer.id, name) * guess.UNSEEN)


def _suspended(machine: "Machine", history: History) -> Path | None:
    """The memory of a machine that is suspended: it lies in its head."""
    file = machine.paths.head(history.head.id) / heads.MEMORY
    return file if history.head.resume == "head" and file.exists() else None


def _now(station: "Workstation", machine: "Machine", suspended: Path | None) -> int:
    """The memory that is in no layer yet, packed."""
    if suspended:
        return int(suspended.stat().st_size * guess.ratio(suspended))
    if not machine.pair() or not machine.definition:
        return 0
    most = machine.definition.profile.memory
    samples = station.samples(machine.name)
    resident = min(samples[-1].resident, most) if samples else most
    return int(resident * guess.UNSEEN)

"""How much an export would write, before it starts and without freezing anything."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workstation.core import heads
from workstation.core.bundle import planning, target
from workstation.core.bundle.export import OVERHEAD, Wish
from workstation.core.bundle.reader import Bundle
from workstation.core.store import Store
from workstation.errors import WorkstationError
from workstation.model.layer import History

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation


class Estimate(NamedTuple):
    """Sizes in bytes."""

    new: int
    """What would be written."""
    memory: int
    """How much of that is memory of guests."""
    kept: int = 0
    """What the file holds already; 0 for a new one."""
    trouble: str = ""
    """Why it cannot be written there; empty where it can."""
    mend: str = ""


def estimate(station: "Workstation", name: str, path: Path, wish: Wish) -> Estimate:
    """Of an export with those words to that file; call it in a thread.

    The memory of a guest that runs is counted as what its QEMU holds now.
    """
    machine, store = station.machine(name), station.layers.store
    history, onto, trouble = heads.read_history(machine.paths), None, None
    try:
        if machine.definition:
            onto = planning.to_add_to(
                path, wish, station.carry.keys, machine.definition, store.keyring.vault
            )
    except WorkstationError as error:
        trouble = error
    disks, memory = _layers(store, history, onto)
    disks += heads.written(machine.paths, history.head.id)
    samples = station.samples(name)
    if machine.pair() and machine.definition and wish.memory:
        most = machine.definition.profile.memory
        memory += min(samples[-1].resident, most) if samples else most
    memory = memory if wish.memory else 0
    found = Estimate(disks + memory, memory, onto.end if onto else 0)
    try:
        target.check_fits(
            path, found.kept + (0 if wish.compress else found.new) + OVERHEAD, found.kept
        )
    except WorkstationError as error:
        trouble = trouble or error
    return found._replace(trouble=str(trouble), mend=trouble.hint) if trouble else found


def _layers(store: Store, history: History, onto: Bundle | None) -> tuple[int, int]:
    """Bytes of disks and of memory in the layers that the file lacks."""
    there = set(onto.ids()) if onto else set()
    disks = memory = 0
    for layer in store.reachable(heads.roots(history)) - there:
        frozen = store.read(layer).memory
        taken = store.bytes_of(layer, frozen.name) if frozen else 0
        memory += taken
        disks += store.size(layer) - taken
    return disks, memory

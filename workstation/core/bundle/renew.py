"""A machine that is here goes on where a bundle of it does: its history gains what it lacks.

Like going back to a snapshot, only forward: one write of its history moves it, and what its head
holds is counted before it is thrown away.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from workstation.core import atomic
from workstation.core.activities import Progress
from workstation.core.bundle import arrive, identity, place
from workstation.core.bundle.arrive import Arrival
from workstation.core.bundle.origin import Origin
from workstation.core.bundle.reader import Bundle
from workstation.core.bundle.strip import stripped
from workstation.core.bundle.work import in_thread
from workstation.core.layers import heads, moves
from workstation.core.layers.mend import mend
from workstation.core.layers.store import Store
from workstation.core.library import names
from workstation.core.machine import verbs
from workstation.core.machine.machine import Machine
from workstation.core.room import IN_THE_LIBRARY, check_room
from workstation.errors import UsageError, WorkstationError
from workstation.model.bundle import CarriedMachine
from workstation.model.layer import Head, History
from workstation.model.machine import Definition, Verb
from workstation.model.profile import Profile
from workstation.paths import Paths
from workstation.profile.dump import dump_definition
from workstation.profile.load import load_definition

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation


class Renewed(NamedTuple):
    """What came of it."""

    moved: bool
    """Whether its head stands elsewhere now."""
    said: tuple[str, ...]
    """What is not as it was in the bundle, in a person's words."""


# -- which machine -------------------------------------------------------------------------


def same_machine(paths: Paths, bundle: Bundle) -> str:
    """The machine that is here already, by its UUID; empty for none."""
    for name in names.names(paths):
        try:
            definition = load_definition(paths.machine(name).file)
        except WorkstationError:
            continue
        if definition.uuid == bundle.manifest.machine.uuid:
            return name
    return ""


def meant(paths: Paths, bundle: Bundle, into: str, name: str) -> str:
    """The machine that an import brings up to date; empty for one that makes a machine.

    What holds only what is new is of use to the machine that has the rest: that is meant unless
    the person says otherwise.
    """
    if into and name:
        raise UsageError(
            "--into brings a machine up to date, and --name makes another one",
            hint="leave one of the two out",
        )
    if into:
        names.find(paths, into)
        return into
    return "" if name or not bundle.manifest.needed else same_machine(paths, bundle)


def check_related(paths: Paths, store: Store, bundle: Bundle, name: str) -> None:
    """Raise UsageError where a machine and a bundle have nothing in common."""
    manifest, history = bundle.manifest, heads.read_history(paths.machine(name))
    theirs = {*bundle.ids(), *(one.id for one in manifest.needed)}
    if same_machine(paths, bundle) != name and not theirs & store.reachable(heads.roots(history)):
        raise UsageError(
            f"{bundle} holds “{manifest.machine.name}”, which has nothing in common with “{name}”",
            hint="leave --into out: it becomes a machine of its own",
        )


# -- doing it ------------------------------------------------------------------------------


async def renew(
    station: "Workstation",
    name: str,
    arrival: Arrival,
    origin: Origin,
    progress: Progress,
    *,
    load_memory: bool,
    check: Callable[[], None],
) -> Renewed:
    """Copy what is missing, then move the machine's head onto it, all of it or nothing.

    `check` raises where what its head holds would be lost against the person's will; it is asked
    before anything is copied, and again when nobody else can change the machine. A machine that
    ran runs again at the return.
    """
    store, machine = station.layers.store, station.machine(name)
    await machine.settled()
    check()
    with ExitStack() as stack:
        stack.enter_context(store.adding())
        check_room(station.paths.data, arrival.room, IN_THE_LIBRARY)
        copying = partial(arrive.copy, stack, store, arrival, origin)
        ready = await in_thread(copying, progress, arrival.size)
        await machine.undisturbed()
        with verbs.holding(machine, Verb.REVERT, station.front_end):
            await mend(machine, store)
            check()
            await asyncio.to_thread(arrive.publish, store, ready)
            place.vouch(store, arrival, origin, trusted=load_memory)
            move = _Move(station, machine, arrival.bundle.manifest.machine, load_memory)
            renewed = await move.done()
    if move.ran:
        await station.start(name, force=True)
    return renewed


class _Move:
    """The machine's head onto the bundle's top layer; under the machine's lock."""

    def __init__(
        self, station: "Workstation", machine: Machine, carried: CarriedMachine, load_memory: bool
    ) -> None:
        self._station, self._machine, self._carried = station, machine, carried
        self._resume = carried.resume and load_memory
        self._said: list[str] = []
        self._twin = False
        self.ran = False
        """Whether its QEMU was ended for it."""

    async def done(self) -> Renewed:
        machine, store = self._machine, self._station.layers.store
        history = heads.read_history(machine.paths)
        below = [layer.id for layer in store.chain(history.head.layer)]
        if self._carried.top in below:
            heads.write_history(machine.paths, self._named(history))
            self._said.append(f"“{machine.name}” has that moment already, and stays where it is")
            return Renewed(False, tuple(self._said))
        mine = machine.definition
        profile = self._profile(mine) if mine else None
        await moves.stand_elsewhere(machine, store, self._after, self._end)
        if mine and profile:
            changed = mine.model_copy(update={"profile": profile})
            atomic.write(machine.paths.file, dump_definition(changed, machine.name))
        machine.look()
        return Renewed(True, tuple(self._said))

    async def _end(self) -> None:
        if self._machine.pair():
            self.ran = True
            await verbs.end(self._machine, self._station.settings.timeouts, "import")

    def _profile(self, mine: Definition) -> Profile:
        """Theirs, with what is the machine's own here: its name, its addresses, free ports."""
        theirs = stripped(self._carried.profile).profile
        profile, self._twin = identity.stay(
            self._station.paths, self._machine.name, mine.profile, theirs, self._said
        )
        lost = stripped(mine.profile).left_out
        self._said += [f"left out of what it had here: {text}" for text in lost]
        return profile

    def _after(self, history: History, head: str) -> History:
        named = self._named(history)
        top = self._carried.top
        new = Head(
            id=head,
            layer=top,
            resume="layer" if self._resume else "",
            network_off=self._resume and self._twin,
        )
        if self._carried.resume and not self._resume and top not in named.snapshots.values():
            kept = {**named.snapshots, heads.fresh_tag("carried", named): top}
            named = named.model_copy(update={"snapshots": kept})
        return named.model_copy(update={"head": new})

    def _named(self, history: History) -> History:
        """With the bundle's names beside the machine's own."""
        for tag, layer in self._carried.snapshots.items():
            if history.snapshots.get(tag) == layer:
                continue
            free = heads.fresh_tag(tag, history)
            if free != tag:
                self._said.append(f"its snapshot “{tag}” is called “{free}” here")
            snapshots = {**history.snapshots, free: layer}
            golden = history.golden or (free if tag == self._carried.golden else "")
            history = history.model_copy(update={"snapshots": snapshots, "golden": golden})
        return history

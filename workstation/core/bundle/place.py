"""The machine of a bundle becomes one of this library, on layers that are here."""

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

from workstation.core.activities import Progress
from workstation.core.bundle import arrive, identity, linking
from workstation.core.bundle import origin as origins
from workstation.core.bundle.arrive import Arrival
from workstation.core.bundle.identity import Settled
from workstation.core.bundle.origin import Origin
from workstation.core.bundle.strip import stripped
from workstation.core.bundle.work import in_thread
from workstation.core.layers import heads
from workstation.core.layers.moves import stand_on
from workstation.core.layers.store import Store
from workstation.core.library import library
from workstation.core.machine.create import write_definition
from workstation.core.room import IN_THE_LIBRARY, check_room
from workstation.model.bundle import CarriedMachine
from workstation.model.layer import Head, History
from workstation.model.machine import Definition
from workstation.model.profile import Profile
from workstation.paths import Paths


async def bring_in(
    paths: Paths,
    store: Store,
    arrival: Arrival,
    name: str,
    origin: Origin,
    progress: Progress,
    *,
    load_memory: bool,
    in_place: bool = False,
    profile: Profile | None = None,
) -> Settled:
    """Copy what is missing and make the machine; it is there whole at the return, or not at all.

    With `in_place` disks and memory stay in the bundle; `profile` is other hardware than it had.
    """
    carried = arrival.bundle.manifest.machine
    with ExitStack() as stack:
        stack.enter_context(store.adding())
        if in_place:
            ready = await asyncio.to_thread(linking.link, stack, store, arrival, origin)
        else:
            check_room(paths.data, arrival.room, IN_THE_LIBRARY)
            copying = partial(arrive.copy, stack, store, arrival, origin)
            ready = await in_thread(copying, progress, arrival.size)
        async with identity.settling(paths):
            settled = identity.settle(
                paths, carried, stripped(profile or carried.profile).profile, name
            )
            settled = _with_other_hardware(settled, carried, profile)
            with library.making(paths, settled.name) as machine:
                await asyncio.to_thread(arrive.publish, store, ready)
                vouch(store, arrival, origin, trusted=load_memory)
                head = await stand_on(machine, store, store.read(carried.top))
                history = history_of(carried, head, settled, load_memory=load_memory)
                heads.write_history(machine, history)
                write_definition(machine, definition_of(carried, settled), settled.name)
                await asyncio.to_thread(library.sync_tree, machine.data)
    return settled


def _with_other_hardware(
    settled: Settled, carried: CarriedMachine, profile: Profile | None
) -> Settled:
    """It is said where the drives are on another bus than they were."""
    if profile is None or profile.drives == carried.profile.drives:
        return settled
    pairs = zip(profile.drives, carried.profile.drives, strict=True)
    bus = next(drive.bus for drive, before in pairs if drive.bus is not before.bus)
    text = (
        f"its NVMe drives are on {bus}: on NVMe its guest could not wait when the stick is pulled"
        f" out; once it has settled in: workstation set {settled.name} 'drives[0].bus=nvme'"
    )
    return settled._replace(said=(*settled.said, text))


def vouch(store: Store, arrival: Arrival, origin: Origin, *, trusted: bool) -> None:
    """What a stranger had brought, and somebody trusted signed too, comes from the latter."""
    for layer in arrival.shared if trusted else ():
        stored = arrival.bundle.manifest.layer(layer)
        if stored and stored.layer.memory and origins.read(store, layer):
            origins.write(store.directory(layer), origin)


def definition_of(carried: CarriedMachine, settled: Settled) -> Definition:
    """Who it is here; with another UUID it is another machine, made now."""
    created = carried.created
    if settled.uuid != carried.uuid:
        created = datetime.now(UTC).replace(microsecond=0)
    return Definition(
        uuid=settled.uuid,
        created=created,
        based_on=carried.based_on[:80],
        profile=settled.profile,
    )


def history_of(
    carried: CarriedMachine, head: str, settled: Settled, *, load_memory: bool
) -> History:
    """Its head and its names. Memory that is not to be loaded stays behind a name."""
    resume = carried.resume and load_memory
    history = History(
        head=Head(
            id=head,
            layer=carried.top,
            resume="layer" if resume else "",
            network_off=resume and settled.twin,
        ),
        snapshots=carried.snapshots,
        golden=carried.golden,
    )
    if not carried.resume or resume or carried.top in carried.snapshots.values():
        return history
    names = {**history.snapshots, heads.fresh_tag("carried", history): carried.top}
    return history.model_copy(update={"snapshots": names})

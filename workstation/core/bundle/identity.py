"""A machine that came from elsewhere beside those that are here: nothing of it may clash."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID, uuid4

from workstation.core.library import names
from workstation.core.library.library import check_new_name
from workstation.core.machine.create import with_new_macs
from workstation.errors import WorkstationError
from workstation.model.bundle import CarriedMachine
from workstation.model.machine import Definition
from workstation.model.profile import Forward, Profile
from workstation.paths import Paths
from workstation.profile.load import load_definition


class Settled(NamedTuple):
    """Who the machine is here."""

    name: str
    uuid: UUID
    profile: Profile
    twin: bool
    """One of the same addresses is here: its network is to stay unplugged after a resume."""
    said: tuple[str, ...]
    """What had to be changed, in a person's words."""


@dataclass(frozen=True)
class _Taken:
    uuids: frozenset[UUID]
    macs: frozenset[str]
    ports: dict[tuple[str, int], str]
    """Protocol and host port, to the machine that asks for it."""


@asynccontextmanager
async def settling(paths: Paths) -> AsyncIterator[None]:
    """A block that chooses names and makes the machine: one at a time, so that none clashes."""
    held = os.open(paths.machines, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        await asyncio.to_thread(fcntl.flock, held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def settle(paths: Paths, machine: CarriedMachine, profile: Profile, name: str = "") -> Settled:
    """Resolve every clash; raises UsageError only where the person chose a name that is taken."""
    taken = _taken(paths)
    said: list[str] = []
    chosen = name or free_name(paths, machine.name)
    check_new_name(paths, chosen)
    if not name and chosen != machine.name:
        said.append(f"there is a machine “{machine.name}” already: this one is called “{chosen}”")
    uuid = machine.uuid
    twin = uuid in taken.uuids
    if twin:
        uuid = uuid4()
        said.append("its UUID is that of a machine that is here: it has a new one")
    profile = profile.model_copy(update={"name": chosen})
    macs_taken = bool({one.mac for one in profile.networks} & taken.macs)
    if twin or macs_taken:
        profile = with_new_macs(profile)
        if profile.networks:
            said.append("its MAC addresses are new: another machine here has those that it had")
    twin = twin or macs_taken
    profile = _other_ports(profile, taken, said)
    return Settled(chosen, uuid, profile, twin, tuple(said))


def stay(
    paths: Paths, name: str, mine: Profile, theirs: Profile, said: list[str]
) -> tuple[Profile, bool]:
    """The profile of a machine that is here, as a bundle of it has it; its addresses stay.

    Also whether they are others than the bundle's: then its guest must not be plugged in at once.
    """
    own = [network.mac for network in mine.networks]
    networks = tuple(
        network.model_copy(update={"mac": own[number]}) if own[number : number + 1] else network
        for number, network in enumerate(theirs.networks)
    )
    changed = theirs.model_copy(update={"name": name, "networks": networks})
    profile = _other_ports(changed, _taken(paths, besides=name), said)
    return profile, [network.mac for network in theirs.networks] != [n.mac for n in networks]


def free_name(paths: Paths, wanted: str) -> str:
    """That name, or with a number behind it."""
    name, number = wanted, 1
    while paths.machine(name).data.exists():
        number += 1
        end = f"-{number}"
        name = wanted[: 40 - len(end)] + end
    return name


def _taken(paths: Paths, *, besides: str = "") -> _Taken:
    found = [one for one in _definitions(paths) if one[0] != besides]
    profiles = [(name, definition.profile) for name, definition in found]
    return _Taken(
        frozenset(definition.uuid for _, definition in found),
        frozenset(one.mac for _, profile in profiles for one in profile.networks if one.mac),
        {
            (forward.protocol, forward.host): name
            for name, profile in profiles
            for one in profile.networks
            for forward in one.forwards
        },
    )


def _definitions(paths: Paths) -> Iterator[tuple[str, Definition]]:
    for name in names.names(paths):
        try:
            yield name, load_definition(paths.machine(name).file)
        except WorkstationError:
            continue  # it has nothing that could be compared


def _other_ports(profile: Profile, taken: _Taken, said: list[str]) -> Profile:
    """Host ports that no machine here asks for."""
    chosen = set(taken.ports)

    def place(forward: Forward) -> Forward:
        port = forward.host
        while (forward.protocol, port) in chosen and port < 65535:
            port += 1
        chosen.add((forward.protocol, port))
        if port == forward.host:
            return forward
        owner = taken.ports.get((forward.protocol, forward.host))
        if owner:
            said.append(f"host port {forward.host} is “{owner}”'s: {port} leads into this one")
        return forward.model_copy(update={"host": port})

    networks = tuple(
        network.model_copy(update={"forwards": tuple(place(one) for one in network.forwards)})
        for network in profile.networks
    )
    return profile.model_copy(update={"networks": networks})

"""A bundle's machine comes into the library: as one of its own, or for one that is here."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from workstation.core.bundle import arrive, origin, place, renew, verify
from workstation.core.bundle.arrive import Arrival
from workstation.core.bundle.identity import Settled
from workstation.core.bundle.reader import Bundle
from workstation.core.bundle.receive import Received
from workstation.core.layers.collect import collect_quietly
from workstation.core.library import library
from workstation.model.events import Severity

if TYPE_CHECKING:
    from workstation.core.machine.machine import Machine
    from workstation.core.workstation import Workstation


@dataclass(frozen=True)
class Imported:
    """What came of a bundle."""

    name: str
    layers: int
    shared: int
    """How many of them were here already."""
    copied: int
    """Bytes."""
    resumes: bool
    """Whether its start goes on from memory."""
    updated: bool
    """It was here, and has been brought up to date."""
    distrusted: bool
    """It could go on from memory, and boots instead: its signer is not trusted."""
    signer: str
    """A fingerprint."""
    signer_name: str
    """What the person calls the signer; empty for a stranger."""
    said: tuple[str, ...]
    """What was changed or left out, in a person's words."""


class Words(NamedTuple):
    """How a person wants it."""

    name: str = ""
    """Of the machine that it is to be; empty for the bundle's."""
    load_memory: str = ""
    """The signer's fingerprint, typed by a person who wants a stranger's memory to be loaded."""
    into: str = ""
    """The machine that is brought up to date."""
    discard: bool = False
    """What that machine's head holds may be lost."""


AS_IT_IS = Words()


async def take(
    station: "Workstation", bundle: Bundle, words: Words, came: Received | None = None
) -> Imported:
    """In; what failed leaves nothing. `came` has what has come of it through a pipe already."""
    paths, store = station.paths, station.layers.store
    old = await asyncio.to_thread(renew.meant, paths, bundle, words.into, words.name)
    try:
        await asyncio.to_thread(verify.check_structure, bundle)
        if old:
            done = await _renew(station, bundle, old, words, came)
        else:
            done = await _import(station, bundle, words, came)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(collect_quietly, paths, store))
        raise
    if old:  # what its old head stood on may lead nowhere now
        await asyncio.to_thread(collect_quietly, paths, store)
    return done


async def _renew(
    station: "Workstation", bundle: Bundle, name: str, words: Words, came: Received | None
) -> Imported:
    store = station.layers.store
    of = origin.claimed(bundle, words.load_memory)
    trusted = of.confirmed or station.carry.keys.trusts(of.signer)

    def check() -> None:
        if not words.discard:
            again = f"workstation import {bundle.called or bundle.path} --into {name} --discard"
            station.layers.refuse_loss(name, again)

    with station.working(f"import {name}", unit="B") as progress:
        await asyncio.to_thread(renew.check_related, station.paths, store, bundle, name)
        arrival = await asyncio.to_thread(arrive.plan, store, bundle, came)
        renewed = await renew.renew(
            station, name, arrival, of, progress, load_memory=trusted, check=check
        )
    return _imported(
        station, bundle, name, arrival,
        (*_of_the_file(bundle), *renewed.said, *_left_out(arrival)),
        resumes=renewed.moved and trusted, updated=True, trusted=trusted or not renewed.moved,
    )  # fmt: skip


async def _import(
    station: "Workstation", bundle: Bundle, words: Words, came: Received | None
) -> Imported:
    store, name = station.layers.store, words.name
    if name:
        library.check_new_name(station.paths, name)
    of = origin.claimed(bundle, words.load_memory)
    trusted = of.confirmed or station.carry.keys.trusts(of.signer)
    with station.working(f"import {name or bundle.manifest.machine.name}", unit="B") as progress:
        arrival = await asyncio.to_thread(arrive.plan, store, bundle, came)
        settled = await place.bring_in(
            station.paths, store, arrival, name, of, progress, load_memory=trusted
        )
    station.machine(settled.name)
    if station.inplace.reads(settled.name):  # it shares layers that were opened in place
        await station.inplace.settle(settled.name)
    return _imported(
        station, bundle, settled.name, arrival, said(bundle, settled, arrival),
        resumes=trusted, updated=False, trusted=trusted,
    )  # fmt: skip


def _imported(
    station: "Workstation", bundle: Bundle, name: str, arrival: Arrival, said: tuple[str, ...],
    *, resumes: bool, updated: bool, trusted: bool,
) -> Imported:  # fmt: skip
    frozen = bundle.manifest.machine.resume
    keep_said(station.machine(name), said)
    return Imported(
        name=name,
        layers=len(bundle.ids()),
        shared=len(arrival.shared),
        copied=arrival.size,
        resumes=frozen and resumes,
        updated=updated,
        distrusted=frozen and not trusted,
        signer=bundle.signer,
        signer_name=station.carry.keys.name_of(bundle.signer),
        said=said,
    )


# -- in a person's words ------------------------------------------------------------------


def said(bundle: Bundle, settled: Settled, arrival: Arrival) -> tuple[str, ...]:
    """What was changed or left out."""
    return (*_of_the_file(bundle), *settled.said, *_left_out(arrival))


def keep_said(machine: "Machine", said: tuple[str, ...]) -> None:
    """In the machine's log: what was changed is of interest for longer than a notice stays."""
    for text in said:
        machine.log(text, Severity.WARNING)


def _of_the_file(bundle: Bundle) -> list[str]:
    if not bundle.cut_off:
        return []
    return ["an export onto this file was cut off: this is what was in it before"]


def _left_out(arrival: Arrival) -> list[str]:
    return [f"left out: {text}" for text in arrival.left_out]

"""The verbs for bundles that are used where they lie: open and settle in."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.core import carried, heads, links, names
from workstation.core.bundle import arrive, place
from workstation.core.bundle.reader import open_bundle
from workstation.core.collect import collect_quietly
from workstation.core.settle import Settled, linked, settle
from workstation.core.vigil import Vigil
from workstation.errors import UsageError
from workstation.model.machine import Verb, require

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation


@dataclass(frozen=True)
class Opened:
    """What came of opening a bundle in place."""

    name: str
    resumes: bool
    """Whether it goes on from its memory; otherwise it boots."""
    distrusted: bool
    """It could go on from memory, and boots instead: its signer is not trusted."""
    signer: str
    """A fingerprint."""
    signer_name: str
    """What the person calls the signer; empty for a stranger."""
    said: tuple[str, ...]
    """What was changed or left out, in a person's words."""


class InPlace:
    """What can be done with bundles without importing them."""

    def __init__(self, station: "Workstation") -> None:
        self._station = station
        self._store = station.layers.store
        self.vigil = Vigil(station)

    # -- open -----------------------------------------------------------------

    async def open(
        self, path: Path, name: str = "", *, load_memory: str = "", cold: bool = False
    ) -> Opened:
        """A machine that reads its layers inside the bundle; it is made, and not started.

        Manifest, signature, headers and the small files are verified before; memory is while it
        is loaded, and `vigil` sees to the disks. `load_memory` is the signer's fingerprint, typed
        by a person who wants a stranger's memory to be loaded; `cold` boots the disks.
        """
        station, carry = self._station, self._station.carry
        bundle = await asyncio.to_thread(open_bundle, path)
        origin = carry.origin(bundle, load_memory)
        trusted = origin.confirmed or carry.keys.trusts(bundle.signer)
        resumes = bundle.manifest.machine.resume and trusted and not cold
        try:
            with station.working(f"open {path.name}") as progress:
                arrival = await asyncio.to_thread(arrive.plan, self._store, bundle)
                known = await place.bring_in(
                    station.paths, self._store, arrival, name, origin, progress,
                    load_memory=resumes, in_place=True,
                )  # fmt: skip
        except BaseException:
            await asyncio.shield(asyncio.to_thread(collect_quietly, station.paths, self._store))
            raise
        station.machine(known.name)
        return Opened(
            name=known.name,
            resumes=resumes,
            distrusted=bundle.manifest.machine.resume and not trusted and not cold,
            signer=bundle.signer,
            signer_name=carry.keys.name_of(bundle.signer),
            said=carry.said(bundle, known, arrival),
        )

    def find_again(self, name: str, path: Path) -> None:
        """The bundle that a machine reads is there now. Raises UsageError where it is another."""
        bundle = open_bundle(path)
        history = heads.read_history(names.find(self._station.paths, name))
        wanted = {link.bundle for link in linked(self._store, history).values()}
        if bundle.manifest.id not in wanted:
            raise UsageError(
                f"“{name}” reads nothing in {path}",
                hint="it holds another machine: open it without --for"
                if wanted
                else "all of its layers are in the library",
            )
        carried.remember(self._station.paths.bundles, bundle)

    def reads(self, name: str) -> tuple[str, ...]:
        """The bundles that a machine reads, in a person's words; empty where it reads none."""
        bundles = self._station.paths.bundles
        history = heads.read_history(names.find(self._station.paths, name))
        found = {link.bundle for link in linked(self._store, history).values()}
        return tuple(
            links.named(seen) for one in sorted(found) if (seen := links.place(bundles, one))
        )

    # -- settle in --------------------------------------------------------------

    async def settle(self, name: str) -> Settled:
        """All that the machine has in bundles comes into the library, while its guest runs."""
        station = self._station
        machine = station.machine(name)
        await machine.settled()
        require(Verb.SETTLE, name, machine.view.state)
        with station.working(f"settle {name} in", unit="B") as progress:
            done = await settle(station, name, progress)
        machine.look()
        return done

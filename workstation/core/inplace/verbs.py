"""The verbs for bundles that are used where they lie: open and settle in."""

import asyncio
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workstation.core.bundle import arrive, importing, inspection, place
from workstation.core.bundle import origin as origins
from workstation.core.bundle.estimate import Estimate, estimate
from workstation.core.bundle.export import Wish
from workstation.core.bundle.inspection import Report
from workstation.core.bundle.reader import Bundle
from workstation.core.host import admission, media
from workstation.core.inplace import carried, links, pulled
from workstation.core.inplace.settle import Settled, linked, settle
from workstation.core.inplace.vigil import Vigil
from workstation.core.layers import heads
from workstation.core.layers.collect import collect_quietly
from workstation.core.library import names
from workstation.errors import LockedError, UsageError
from workstation.model.machine import Verb, require
from workstation.model.profile import Profile

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


MOST_OFFERED = 100
"""Bundles of one place."""


class Place(NamedTuple):
    """Where a bundle can be written."""

    path: Path
    name: str
    filesystem: str
    free: int
    """Bytes."""
    writable: bool


class InPlace:
    """What can be done with bundles without importing them."""

    def __init__(self, station: "Workstation") -> None:
        self._station = station
        self._store = station.layers.store
        self.vigil = Vigil(station)

    # -- open -----------------------------------------------------------------

    async def open(
        self,
        path: Path,
        name: str = "",
        *,
        load_memory: str = "",
        cold: bool = False,
        force: bool = False,
        passphrase: str = "",
    ) -> Opened:
        """A machine that reads its layers inside the bundle; it is made, and not started.

        Manifest, signature, headers and the small files are verified before; memory is while it
        is loaded, and `vigil` sees to the disks. `load_memory` is the signer's fingerprint, typed
        by a person who wants a stranger's memory to be loaded; `cold` boots the disks. Raises
        OvercommitError, before anything is made, where this computer lacks the memory for it, but
        with `force`. Of an encrypted bundle the key is at hand from then on, until the person logs
        out.
        """
        station, carry = self._station, self._station.carry
        bundle = await asyncio.to_thread(carry.unlock, path, passphrase)
        origin = origins.claimed(bundle, load_memory)
        trusted = origin.confirmed or carry.keys.trusts(bundle.signer)
        resumes = bundle.manifest.machine.resume and trusted and not cold
        profile = await self._check(bundle, path, resumes=resumes, force=force)
        try:
            with station.working(f"open {path.name}") as progress:
                arrival = await asyncio.to_thread(arrive.plan, self._store, bundle)
                known = await place.bring_in(
                    station.paths, self._store, arrival, name, origin, progress,
                    load_memory=resumes, in_place=True, profile=profile,
                )  # fmt: skip
        except BaseException:
            await asyncio.shield(asyncio.to_thread(collect_quietly, station.paths, self._store))
            raise
        said = importing.said(bundle, known, arrival)
        importing.keep_said(station.machine(known.name), said)
        await station.digest()
        return Opened(
            name=known.name,
            resumes=resumes,
            distrusted=bundle.manifest.machine.resume and not trusted and not cold,
            signer=bundle.signer,
            signer_name=carry.keys.name_of(bundle.signer),
            said=said,
        )

    async def _check(self, bundle: Bundle, path: Path, *, resumes: bool, force: bool) -> Profile:
        """The profile that it runs with here; raises where it had better not."""
        machine, paths = bundle.manifest.machine, self._station.paths
        if not force:
            await asyncio.to_thread(
                admission.check, paths, machine.name, machine.profile, "open it with --force"
            )
        if not pulled.cannot_wait(machine.profile) or not pulled.lies_on_a_stick(path):
            return machine.profile
        if resumes:
            raise pulled.refusal(machine.name, path)
        return pulled.with_patience(machine.profile)

    def find_again(self, name: str, path: Path) -> None:
        """The bundle that a machine reads is there now. Raises UsageError where it is another."""
        bundle = self._station.carry.bundle(path)
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

    def encrypted(self, name: str) -> list[Path]:
        """The bundles that the machine reads and that have a passphrase; call it in a thread."""
        history, found = heads.read_history(names.find(self._station.paths, name)), []
        for link in linked(self._store, history).values():
            try:
                bundle = self._store.bundle(link.bundle)
                found += [bundle.path] if bundle.vault else []
            except LockedError as error:
                found.append(Path(error.bundle))
        return list(dict.fromkeys(found))

    def reads(self, name: str) -> str:
        """The bundles that a machine's layers lie in, in a person's words; empty for none."""
        return links.reads(names.find(self._station.paths, name))

    # -- looking ----------------------------------------------------------------

    def around(self) -> list[Path]:
        """Bundles on what is plugged in, then in the home directory; call it in a thread."""
        plugged = [medium.path for medium in media.removable()]
        places = dict.fromkeys([*plugged, Path.home(), Path.cwd()])
        found = (islice(carried.bundles_on(place), MOST_OFFERED) for place in places)
        return list(dict.fromkeys(file for files in found for file in files))

    def places(self) -> list[Place]:
        """Where an export could go: what is plugged in, then this computer; in a thread."""
        home, plugged = Path.home(), media.removable()
        own = media.medium_of(home)
        kept = shutil.disk_usage(home).free
        return [
            *(Place(one.path, one.name, one.filesystem, one.free, one.writable) for one in plugged),
            Place(home, "this computer", own.filesystem if own else "", kept, True),
        ]

    def estimate(self, name: str, path: Path, wish: Wish) -> Estimate:
        """How much an export would write; call it in a thread."""
        return estimate(self._station, name, path, wish)

    def picture(self, report: Report, passphrase: str = "") -> Path | None:
        """The screen of a bundle's machine in a file; None where it has none. In a thread.

        Raises InvalidError where it is not as it was written.
        """
        data = inspection.picture(self._station.carry.bundle(report.path, passphrase))
        if not data:
            return None
        kept = self._station.paths.cache / "pictures"
        kept.mkdir(mode=0o700, exist_ok=True)
        file = kept / f"{report.manifest.machine.top}.ppm"
        file.write_bytes(data)
        return file

    # -- settle in --------------------------------------------------------------

    async def settle(self, name: str) -> Settled:
        """All that the machine has in bundles comes into the library, while its guest runs."""
        station = self._station
        machine = station.machine(name)
        await machine.settled()
        require(Verb.SETTLE, name, machine.view.state)
        with station.working(f"settle {name} in", unit="B") as progress:
            done = await settle(station, name, progress)
        await asyncio.to_thread(collect_quietly, station.paths, self._store)
        machine.look()
        return done

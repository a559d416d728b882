"""In the background new layers get digests, and what machines read in a bundle is verified."""

import asyncio
from typing import TYPE_CHECKING

from workstation.core.layers.collect import collect_quietly

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation

_CALM_SECONDS = 0.5
"""Until new layers are read for their digests: an export that made one takes them itself."""

QUICKLY_READ = 256 * 2**20
"""Bytes of a layer that a command takes the digest of before it ends; larger ones wait for the
screens, or for `workstation store check --repair`."""


class Digesting:
    """`stays`: whether this front-end is one that stays, and can leave it to the background."""

    def __init__(self, station: "Workstation", *, stays: bool) -> None:
        self._station, self._stays = station, stays
        self._wanted = asyncio.Event()

    def notice(self) -> None:
        """There may be something to do."""
        self._wanted.set()

    async def take(self) -> None:
        """There are new layers: now, or soon."""
        if self._stays:
            self._wanted.set()
        else:
            await self._station.layers.take_digests(largest=QUICKLY_READ)

    async def go_on(self) -> None:
        station = self._station
        await asyncio.to_thread(collect_quietly, station.paths, station.layers.store)
        while True:
            await station.layers.take_digests()
            if station.paths.bundles.is_dir():
                await station.inplace.vigil.keep()
            await self._wanted.wait()
            await asyncio.sleep(_CALM_SECONDS)
            self._wanted.clear()

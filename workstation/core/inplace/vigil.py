"""What machines read in a bundle is verified while they run, and a bad chunk raises an alarm.

A start waits for none of it: it reads what the guest reads, and that is little. A front-end that
stays reads the rest, once, at half the medium's pace, so that the guest has the other half.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from workstation.core import atomic
from workstation.core.bundle import verify
from workstation.core.bundle.work import Told, in_thread
from workstation.core.inplace import links, settle
from workstation.core.inplace.links import Link
from workstation.core.layers import heads
from workstation.core.layers.store import Store
from workstation.core.library import names
from workstation.errors import InvalidError, WorkstationError
from workstation.model.bundle import StoredFile
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.core.workstation import Working, Workstation

LONGEST_REST = 0.5
"""Seconds between two chunks, at most."""


class Vigil:
    """Verifies what has not been verified yet."""

    def __init__(self, station: "Workstation") -> None:
        self._station = station
        self._store = station.layers.store

    async def keep(self, name: str = "") -> list[str]:
        """Verify what the machine reads in bundles, or what all of them do; returns the alarms."""
        wanted = [name] if name else names.names(self._station.paths)
        return [alarm for one in wanted if (alarm := await self._keep(one))]

    async def _keep(self, name: str) -> str:
        alarm = ""
        with suppress(WorkstationError, OSError):  # a stick that is away has its time later
            history = heads.read_history(self._station.paths.machine(name))
            for layer, link in settle.linked(self._store, history).items():
                if not link.verified:
                    alarm = await self._verified(name, layer, link) or alarm
        return alarm

    async def _verified(self, name: str, layer: str, link: Link) -> str:
        """Why a layer is not whole; empty where it is, or where another program sees to it."""
        with _alone(self._station.paths, link.bundle) as mine:
            if not mine:
                return ""
            bundle = self._store.bundle(link.bundle)
            disks = [file.name for file in self._store.read(layer).drives.values()]
            files = [bundle.file(layer, disk) for disk in disks if disk in link.files]
            total = sum(file.size for file in files)
            try:
                with self._working(name) as progress:
                    await in_thread(partial(_read, self._store, link, files), progress, total)
            except InvalidError as error:
                return await asyncio.to_thread(self._alarm, layer, f"{bundle.path.name}: {error}")
            links.write_again(self._store.directory(layer), link._replace(verified=True))
        return ""

    def _working(self, name: str) -> "Working":
        # Cancelled, it would take the front-end's task with it that does such things.
        return self._station.working(f"verify {name}", unit="B", cancellable=False)

    def _alarm(self, layer: str, words: str) -> str:
        """Every machine that stands on that layer says so from now on."""
        text = f"{words}. What the guest reads there is wrong: do not trust its disks"
        for name in settle.users(self._station.paths, self._store, {layer}):
            atomic.write(self._station.paths.machine(name).alarm, text)
        return text


def _read(store: Store, link: Link, files: list[StoredFile], told: Told) -> None:
    with verify.opened(store.bundle(link.bundle)) as descriptor:
        for piece in verify.pieces(files):
            begun = time.monotonic()
            told(verify.check_chunk(descriptor, piece))
            told.given_up.wait(min(time.monotonic() - begun, LONGEST_REST))


@contextmanager
def _alone(paths: Paths, bundle: str) -> Iterator[bool]:
    """Whether nobody else verifies that bundle now."""
    paths.bundles.mkdir(mode=0o700, exist_ok=True)
    held = os.open(paths.bundles / f"{bundle}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        mine = True
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            mine = False
        yield mine
    finally:
        os.close(held)

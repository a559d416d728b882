"""What the header says of this computer, kept up to date."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from workstation.ui.outside import Outside
from workstation.ui.widgets.header import Usage

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.host import Finding, HostFacts
    from workstation.model.machine import Sample
    from workstation.ui.library import LibraryScreen

DISK_PERIOD = 15.0
"""Seconds between two looks at the room on the disk."""


class HostWatch:
    def __init__(self, station: Workstation, outside: Outside) -> None:
        self._station = station
        self._outside = outside
        self._facts: HostFacts | None = None
        self._disk_free: int | None = None
        self.samples: dict[str, Sample] = _newest(station)
        """The newest of each live machine."""

    async def look(self, desk: LibraryScreen) -> None:
        """Look at the host, tell the screen what it lacks, then mind the disk for good."""
        self._facts = await self._station.host_facts()
        desk.show_usage()
        if not self._facts.qemu:
            desk.show_banner(_lacking(await self._station.findings()))
        while True:
            self._disk_free = await asyncio.to_thread(self._free)
            desk.show_usage()
            await asyncio.sleep(DISK_PERIOD)

    def _free(self) -> int | None:
        try:
            return self._outside.disk_free(self._station.paths.data)
        except OSError:
            return None

    def usage(self) -> Usage:
        facts, machines = self._facts, self._station.machines.values()
        return Usage(
            kvm=facts.kvm if facts else None,
            running=sum(view.state == "running" for view in machines),
            used=sum(
                sample.resident for name, sample in self.samples.items() if self._is_live(name)
            ),
            memory=facts.memory if facts else 0,
            disk_free=self._disk_free,
        )

    def _is_live(self, name: str) -> bool:
        view = self._station.machines.get(name)
        return view is not None and view.state.live


def _newest(station: Workstation) -> dict[str, Sample]:
    kept = {name: station.samples(name) for name in station.machines}
    return {name: samples[-1] for name, samples in kept.items() if samples}


def _lacking(findings: list[Finding]) -> tuple[str, str]:
    """What keeps machines from running, and what to do about it."""
    for finding in findings:
        if finding.level == "problem" and finding.subject.lower().startswith("qemu"):
            return finding.text, finding.mend
    return "QEMU is not installed", "install qemu-system-x86"

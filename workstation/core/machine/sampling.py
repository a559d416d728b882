"""What live machines use of the host, from /proc; disk rates over QMP where somebody looks."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from workstation.core.library.fleet import Fleet
from workstation.core.machine.machine import Machine
from workstation.errors import MonitorError
from workstation.model.events import Event, Sampled
from workstation.model.machine import Sample

INTERVAL = 2.0
"""Seconds between samples."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Sampling:
    """Samples every live machine, for as long as `go_on` is awaited."""

    def __init__(self, fleet: Fleet, publish: Callable[[Event], None]) -> None:
        self._fleet = fleet
        self._publish = publish
        self._samplers: dict[str, Sampler] = {}
        self.focus: str | None = None
        """The one machine whose disks are sampled too."""

    async def go_on(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            live = [machine for machine in self._fleet if machine.view.pid]
            known = {machine.name: self._samplers.get(machine.name, Sampler()) for machine in live}
            self._samplers = known
            samples = {}
            for machine in live:
                disks = machine.name == self.focus
                if sample := await known[machine.name].sample(machine, disks=disks):
                    machine.samples.append(sample)
                    samples[machine.name] = sample
            if samples:
                self._publish(Sampled(samples))


class Sampler:
    """Turns the counters of one machine's QEMU into rates."""

    def __init__(self) -> None:
        self._before: tuple[float, float, tuple[int, int] | None] | None = None
        self._pid = 0

    async def sample(self, machine: Machine, *, disks: bool) -> Sample | None:
        """A sample, or None where there is nothing to compare with yet."""
        pid = machine.view.pid
        if not pid:
            return None
        try:
            cpu, resident = read_usage(pid)
        except (OSError, ValueError, IndexError):
            return None
        blocks = await _block_bytes(machine) if disks else None
        now = time.monotonic()
        before = self._before if pid == self._pid else None
        self._before, self._pid = (now, cpu, blocks), pid
        return _rates(before, now, cpu, resident, blocks) if before else None


def _rates(
    before: tuple[float, float, tuple[int, int] | None],
    now: float,
    cpu: float,
    resident: int,
    blocks: tuple[int, int] | None,
) -> Sample:
    seconds = max(now - before[0], 1e-6)
    share = max(0.0, (cpu - before[1]) / seconds)
    if blocks is None or before[2] is None:
        return Sample(now, share, resident)
    read, written = (
        max(0, new - old) / seconds for new, old in zip(blocks, before[2], strict=True)
    )
    return Sample(now, share, resident, read, written)


def read_usage(pid: int) -> tuple[float, int]:
    """CPU seconds used so far, and resident bytes, of a process (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, pages = int(fields[11]), int(fields[12]), int(fields[21])
    return (user + system) / _TICKS, pages * _PAGE


async def _block_bytes(machine: Machine) -> tuple[int, int] | None:
    if not machine.monitor:
        return None
    try:
        devices = await machine.monitor.execute("query-blockstats")
    except MonitorError:
        return None
    stats = [device["stats"] for device in devices]
    return sum(s["rd_bytes"] for s in stats), sum(s["wr_bytes"] for s in stats)

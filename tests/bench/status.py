"""Asking machines for their state while one front-end supervises 60 of them."""

import asyncio
import random
from contextlib import ExitStack

from tests.bench.home import home, progress, start_all
from tests.bench.measure import Clock, Figure, Series
from tests.bench.qmp import Plain
from workstation.core.workstation import Workstation
from workstation.paths import MONITORS

MACHINES = 60
ROUNDS = 10


async def row() -> list[Figure]:
    with home() as place, ExitStack() as stack:
        await place.make(MACHINES)
        async with place.station() as station:
            names = list(station.machines)
            await start_all(station, names)
            last = MONITORS - 1
            plain = {
                name: stack.enter_context(Plain(place.paths.machine(name).monitor(last)))
                for name in names
            }
            mine, other = await _asked(station, plain)
    return [
        Figure(
            f"status with {MACHINES} VMs supervised", mine, percent=99, limit=0.1,
            raw=other, raw_name="a plain socket to each",
        )
    ]  # fmt: skip


async def _asked(station: Workstation, plain: dict[str, Plain]) -> tuple[Series, Series]:
    mine, other = [], []
    shuffled = random.Random(7)
    for number in range(ROUNDS):
        progress(f"status: round {number + 1} of {ROUNDS}")
        for name in shuffled.sample(list(plain), len(plain)):
            monitor = station.machine(name).monitor
            assert monitor
            with Clock() as ours:
                await monitor.execute("query-status")
            with Clock() as raw:
                await asyncio.to_thread(plain[name].execute, "query-status")
            mine.append(ours.seconds)
            other.append(raw.seconds)
    return Series(mine), Series(other)

"""`workstation list` as a whole process, beside a Python that does nothing."""

import asyncio
import subprocess
import sys

from tests.bench.home import PROGRAM, Home, home
from tests.bench.measure import Clock, Figure, in_turns

MACHINES = 200
LIVE = 10
COUNT = 41


async def row() -> list[Figure]:
    with home() as place:
        await place.make(MACHINES)
        off = await _figure(place, f"workstation list, {MACHINES} machines", limit=3.0)
    with home() as place:
        await place.make(MACHINES, LIVE)
        some = await _figure(place, f"workstation list, {LIVE} of {MACHINES} live")
    return [off, some]


async def _figure(place: Home, name: str, limit: float | None = None) -> Figure:
    async def ours() -> float:
        return await asyncio.to_thread(_whole_process, place, (*PROGRAM, "list"))

    async def raw() -> float:
        return await asyncio.to_thread(_whole_process, place, (sys.executable, "-c", "pass"))

    mine, other = await in_turns(name, ours, raw, COUNT)
    return Figure(name, mine, raw=other, raw_name="python -c pass", ratio_limit=limit)


def _whole_process(place: Home, argv: tuple[str, ...]) -> float:
    with Clock() as clock:
        subprocess.run(argv, env=place.environ, stdout=subprocess.DEVNULL, check=True)
    return clock.seconds

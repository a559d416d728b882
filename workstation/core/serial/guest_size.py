"""Telling a guest how large the terminal on its serial line is: a serial line cannot say it."""

import asyncio
import time

from workstation.core.guest.agent import Agent, talking
from workstation.errors import WorkstationError
from workstation.paths import MachinePaths

_SECONDS = 3.0
"""How long the guest may take for it."""

_POLL = 0.05

_TERMINALS = ("-F /dev/ttyS0", "-F /dev/hvc0", "-f /dev/ttyu0")
"""A 16550 and a virtio console under Linux, a 16550 under a BSD: whichever is there."""


def command(columns: int, rows: int) -> str:
    """What does it at a prompt of the guest's, for its own terminal."""
    return f"stty rows {rows} cols {columns}"


async def tell(paths: MachinePaths, columns: int, rows: int) -> bool:
    """Have the guest's agent set it, where there is one that may run commands; whether it did.

    The kernel then tells the program in front, as when a window changes its size (SIGWINCH).
    """
    told = command(columns, rows).removeprefix("stty ")
    each = (f"stty {terminal} {told} 2>/dev/null && done=0" for terminal in _TERMINALS)
    script = f"done=1; {'; '.join(each)}; exit $done"
    try:
        async with talking(paths) as agent:
            started = await agent.execute("guest-exec", path="/bin/sh", arg=["-c", script])
            return await _went_well(agent, started["pid"])
    except (WorkstationError, KeyError, TypeError):
        return False


async def _went_well(agent: Agent, pid: object) -> bool:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        status = await agent.execute("guest-exec-status", pid=pid)
        if status["exited"]:
            return bool(status.get("exitcode") == 0)
        await asyncio.sleep(_POLL)
    return False

"""Waiting until a guest can be worked with: its agent, a port, a text, the end of its set-up."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

from workstation.core.guest import ports
from workstation.core.guest.agent import asking
from workstation.core.machine.machine import Machine
from workstation.core.provision import firstboot, seed
from workstation.core.serial import ready
from workstation.errors import (
    LaunchError,
    MonitorError,
    UsageError,
    WaitTimeoutError,
    WorkstationError,
)

WHAT = "agent, setup, port:NUMBER or text:TEXT"

FIRST_LOOK, SLOWEST_LOOK = 0.1, 1.0
"""Seconds between two looks for what nobody announces; each is work for the guest, too."""

_PORT = re.compile(r"port:([0-9]{1,5})")


COMMON_SECONDS, FIRST_BOOT_SECONDS = 120.0, 900.0
"""How long a guest may take where nobody says: a first boot installs and sets up a lot."""


async def ready_for_work(
    machine: Machine, seconds: float | None, since: int, front_end: str
) -> None:
    """Return when it has printed what its profile calls `ready`, and is set up.

    Raises WaitTimeoutError, LaunchError where the machine ends before. A guest that went on from
    memory is as ready as it was.
    """
    if ready.resumed(machine):
        return
    new = seed.read(machine.paths) is not None
    seconds = seconds or (FIRST_BOOT_SECONDS if new else COMMON_SECONDS)
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    text = machine.definition.profile.ready if machine.definition else ""
    await ready.printed(machine, text, timeout=seconds, since=since)
    if new:
        await until(machine, "setup", max(end - clock(), FIRST_LOOK), front_end)


async def until(machine: Machine, what: str, seconds: float, front_end: str) -> None:
    """Return when it has come.

    Raises WaitTimeoutError, LaunchError where the machine ends before, UsageError for what is
    none of `WHAT`.
    """
    if what.startswith("text:") and what != "text:":
        await ready.printed(machine, what.removeprefix("text:"), timeout=seconds, since=0)
        return
    await _while_live(machine, _awaited(machine, what, front_end), what, seconds)


def _awaited(machine: Machine, what: str, front_end: str) -> Callable[[], Awaitable[bool]]:
    """Whether it has come, asked again and again."""
    port = _PORT.fullmatch(what)
    if what == "agent":
        return lambda: _agent(machine)
    if what == "setup":
        return lambda: firstboot.look(machine, front_end)
    if port and 1 <= int(port[1]) <= 65535:
        return _port(machine, int(port[1]))
    raise UsageError(f"“{what}” cannot be waited for", hint=f"write {WHAT}")


async def _agent(machine: Machine) -> bool:
    with suppress(WorkstationError):
        async with asking(machine) as agent:
            await agent.execute("guest-ping")
            return True
    return False


def _port(machine: Machine, number: int) -> Callable[[], Awaitable[bool]]:
    async def answered() -> bool:
        way = ports.way_to(machine, number)
        if not way:
            raise ports.no_way(machine, number)
        if machine.monitor is None:
            return False
        with suppress(MonitorError):
            asked = machine.monitor if ports.by_qemu(machine, number) else None
            return await ports.answers(asked, way)
        return False

    return answered


async def _while_live(
    machine: Machine, come: Callable[[], Awaitable[bool]], what: str, seconds: float
) -> None:
    try:
        async with asyncio.timeout(seconds):
            await machine.settled()
            pause = FIRST_LOOK
            while not await come():
                if not machine.view.state.live:
                    raise LaunchError(
                        f"“{machine.name}” is {machine.view.state}: {what} will not come",
                        hint=f"workstation start {machine.name}",
                    )
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, SLOWEST_LOOK)
    except TimeoutError as error:
        raise WaitTimeoutError(
            f"“{machine.name}”: {what} has not come after {seconds:.0f} s",
            hint=f"look at it: workstation console {machine.name}",
        ) from error

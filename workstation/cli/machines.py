"""The commands that make, run and delete machines."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from workstation.cli.station import report, station
from workstation.cli.streams import interactive
from workstation.core.library.names import find
from workstation.core.workstation import Workstation
from workstation.errors import UsageError
from workstation.model.machine import State
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def delete(call: "Call") -> int:
    """Asks first, where there is somebody to ask."""
    find(Paths.from_environment(), call.name)
    if not (call.yes or confirmed(f"Delete “{call.name}” and its disks?")):
        print(f"“{call.name}”: left as it is", file=sys.stderr)
        return 1

    async def act() -> None:
        async with station("delete", call.name) as found:
            await found.delete(call.name)

    asyncio.run(act())
    done = {"name": call.name, "deleted": True}
    print(json.dumps(done, indent=2) if call.json else f"“{call.name}”: deleted")
    return 0


def confirmed(question: str) -> bool:
    if not interactive():
        raise UsageError("deleting needs a yes", hint="say it with --yes")
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _act(call: "Call", verb: str, done: str, act: Callable[[Workstation], Awaitable[None]]) -> None:
    async def run() -> None:
        async with station(verb, call.name) as found:
            await act(found)
            report(call, found, done)

    asyncio.run(run())


def start(call: "Call") -> None:
    """Start it, and wait for its guest where that is asked for."""

    async def act(found: Workstation) -> None:
        goes_on = found.view(call.name).state is State.FROZEN and not call.cold
        await found.start(call.name, force=call.force, cold=call.cold)
        # A guest that goes on is as ready as it was, and does not say so again.
        if call.wait and not goes_on:
            await wait_for_guest(call, found)

    _act(call, "start", "ready" if call.wait else "running", act)


async def wait_for_guest(call: "Call", found: Workstation) -> None:
    """Until it can be worked with; what is waited for is said."""
    new = found.view(call.name).unfinished
    _tell(f"“{call.name}”: running; waiting for its {'first boot to finish' if new else 'guest'} …")
    await found.wait_ready(call.name, timeout=call.timeout)


def stop(call: "Call") -> None:
    """Shut it down, or end it at once."""

    async def act(found: Workstation) -> None:
        if call.force:
            await found.kill(call.name)
            return
        await found.settled(call.name)
        if found.view(call.name).state.live:
            seconds = found.settings.timeouts.power_button
            _tell(f"“{call.name}”: power button; its guest has {seconds:.0f} s to shut down …")
        await found.stop(call.name)

    _act(call, "stop", "off", act)


def _tell(text: str) -> None:
    """A line for a person who waits; a script has no use for it."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def pause(call: "Call") -> None:
    _act(call, "pause", "paused", lambda found: found.pause(call.name))


def reset(call: "Call") -> None:
    _act(call, "reset", "reset", lambda found: found.reset(call.name))


def network(call: "Call") -> None:
    """Plug the guest's network in, or pull it out, until it is started anew."""
    up = call.state == "on"
    done = "network on" if up else "network off"
    _act(call, "network", done, lambda found: found.network(call.name, up=up))


def console(call: "Call") -> None:
    """The serial line, in this terminal."""
    from workstation.core.serial.console import attach

    async def act() -> str:
        async with station("console", call.name) as found:
            found.view(call.name)
            _tell(f"“{call.name}”: {found.settings.leave_key} leaves")
            return await attach(found, call.name)

    why = asyncio.run(act())
    print(f"\n“{call.name}”: {why}", file=sys.stderr)

"""The commands that put machines to sleep and wake them: one, several, or all."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from workstation.cli.showing import as_data, reachable
from workstation.cli.station import station
from workstation.cli.trouble import complain
from workstation.core.library import names
from workstation.core.workstation import Workstation
from workstation.errors import UsageError, WorkstationError
from workstation.model.machine import MachineView, State, Verb
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def suspend(call: "Call") -> int:
    """Memory to the disk, process gone."""

    async def one(found: Workstation, name: str) -> None:
        await found.layers.suspend(name)

    return _each(call, "suspend", one, _runs, "frozen; start or resume goes on")


def _runs(found: Workstation, name: str) -> bool:
    return found.view(name).allows(Verb.SUSPEND)


def resume(call: "Call") -> int:
    """Let paused machines go on, and frozen ones too."""

    async def one(found: Workstation, name: str) -> None:
        if found.view(name).state is State.FROZEN:
            await found.start(name)
        else:
            await found.resume(name)

    return _each(call, "resume", one, _sleeps, "running")


def _sleeps(found: Workstation, name: str) -> bool:
    """Whether it was suspended. A clone that was never started is frozen too, and sleeps on."""
    view = found.view(name)
    return view.state is State.FROZEN and found.machine(name).paths.run.exists()


def _each(
    call: "Call",
    verb: str,
    act: Callable[[Workstation, str], Awaitable[None]],
    wanted: Callable[[Workstation, str], bool],
    done: str,
) -> int:
    """One after the other; one that fails does not keep the others. Returns the exit code."""
    if bool(call.names) == call.all:
        raise UsageError(
            f"name the machines to {verb}, or say --all",
            hint="not both" if call.names else f"see: workstation {verb} --help",
        )

    async def run() -> int:
        given = call.names or names.names(Paths.from_environment())
        async with station(verb, *given, line=True) as found:
            await _settle(found, given)
            chosen = call.names or [name for name in given if wanted(found, name)]
            code = 0
            for name in chosen:
                code = await _attempt(call, found, name, act, done) or code
            _finish(call, [found.view(name) for name in chosen], verb)
            return code

    return asyncio.run(run())


async def _settle(found: Workstation, given: Iterable[str]) -> None:
    for name in given:
        await found.settled(name)


async def _attempt(
    call: "Call",
    found: Workstation,
    name: str,
    act: Callable[[Workstation, str], Awaitable[None]],
    done: str,
) -> int:
    try:
        await act(found, name)
    except WorkstationError as error:
        if len(call.names) == 1:
            raise
        complain(error)
        return error.exit_code
    if not call.json:
        view = found.view(name)
        where = "".join(f"  {address}" for address in reachable(view))
        print(f"“{name}”: {done}{where}", flush=True)
    return 0


def _finish(call: "Call", views: list[MachineView], verb: str) -> None:
    if call.json:
        rows = [as_data(view) for view in views]
        print(json.dumps(rows[0] if len(call.names) == 1 else rows, indent=2))
    elif not views:
        print(f"There is no machine to {verb}.")

"""The command that makes a machine."""

import asyncio
from typing import TYPE_CHECKING

from workstation.cli.machines import wait_for_guest
from workstation.cli.station import report, station
from workstation.core.library.library import check_new_name
from workstation.core.making.answers import Answers, apply, start_from
from workstation.core.workstation import Workstation
from workstation.errors import UsageError

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def create(call: "Call") -> None:
    """From a profile, an image, a disc, or another machine; images that are missing come first."""
    asyncio.run(_create(call))


async def _create(call: "Call") -> None:
    if call.wait and not call.start:
        raise UsageError("--wait needs --start", hint="a machine that is off does nothing")
    names = [call.name, call.origin] if call.origin else [call.name]
    async with station("create", *names, line=True) as found:
        await (_clone(call, found) if call.origin else _make(call, found))
        if call.start:
            # Said now: should the start fail, the machine is there all the same.
            if not call.json:
                report(call, found, "made")
            await found.start(call.name)
        if call.wait:
            await wait_for_guest(call, found)
        report(call, found, _done(call))


def _done(call: "Call") -> str:
    return "ready" if call.wait else "running" if call.start else "made"


_ANSWERS = ("memory", "cpus", "disk", "image", "iso", "user", "key", "hostname")


async def _make(call: "Call", found: Workstation) -> None:
    check_new_name(found.paths, call.name)
    answers = Answers(**{name: getattr(call, name) or None for name in _ANSWERS})
    profile = apply(start_from(found.paths, call.profile, answers), answers, call.set)
    await found.making.create(call.name, profile, based_on=profile.name)


async def _clone(call: "Call", found: Workstation) -> None:
    others = ("profile", "set", *_ANSWERS)
    if given := [f"--{name}" for name in others if getattr(call, name)]:
        raise UsageError(
            f"a clone is as its machine is: --from does not go with {', '.join(given)}",
            hint="clone it, then change the clone: workstation edit NAME",
        )
    await found.layers.clone(call.origin, call.name)

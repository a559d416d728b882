"""The commands that freeze a machine, bring it back and branch it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from workstation.cli.history import cells, entry_data
from workstation.cli.machines import confirmed
from workstation.cli.showing import as_data
from workstation.cli.station import report, station
from workstation.cli.table import table
from workstation.core.library.names import find
from workstation.core.workstation import Workstation
from workstation.model.layer import Entry
from workstation.model.units import format_size
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call

Result = TypeVar("Result")


def _with(call: "Call", verb: str, act: Callable[[Workstation], Awaitable[Result]]) -> Result:
    """Do that with the command's machine, its progress told."""

    async def run() -> Result:
        names = () if getattr(call, "group", False) else (call.name,)
        async with station(verb, *names, line=True) as found:
            return await act(found)

    return asyncio.run(run())


def _say(call: "Call", data: object, text: str) -> None:
    """For acts whose station is needed no more, or not yet let go: said at once."""
    print(json.dumps(data, indent=2) if call.json else text, flush=True)


# -- snapshot, revert -----------------------------------------------------------


def snapshot(call: "Call") -> None:
    """Freeze a machine, or all that carry a tag."""
    memory = not call.disks_only

    async def one(found: Workstation) -> None:
        layer = await found.layers.snapshot(call.name, call.tag, note=call.note, memory=memory)
        entry = next(one for one in found.layers.history(call.name) if one.layer == layer.id)
        held = "with its memory" if entry.memory else "disks only"
        text = f"“{call.name}”: snapshot “{call.tag}” taken, {held}, {format_size(entry.own)}"
        _say(call, {"name": call.name, **entry_data(entry)}, text)

    async def all_(found: Workstation) -> None:
        members = found.layers.group(call.name)
        apart = await found.layers.snapshot_group(
            call.name, call.tag, note=call.note, memory=memory
        )
        data = {"group": call.name, "machines": members, "tag": call.tag, "seconds_apart": apart}
        names = ", ".join(f"“{name}”" for name in members)
        _say(call, data, f"{names}: snapshot “{call.tag}” taken, {apart * 1000:.1f} ms apart")

    _with(call, "snapshot", all_ if call.group else one)


def revert(call: "Call") -> None:
    """Go back to a snapshot, one machine or all that carry a tag."""

    async def one(found: Workstation) -> None:
        await found.layers.revert(call.name, call.tag, discard=call.discard)
        report(call, found, f"back at “{call.tag}”")

    async def all_(found: Workstation) -> None:
        members = found.layers.group(call.name)
        await found.layers.revert_group(call.name, call.tag, discard=call.discard)
        names = ", ".join(f"“{name}”" for name in members)
        data = [as_data(found.view(name)) for name in members]
        _say(call, data, f"{names}: back at “{call.tag}”")

    _with(call, "revert", all_ if call.group else one)


def golden(call: "Call") -> None:
    """Mark the moment that `reset-demo` goes back to."""

    async def act(found: Workstation) -> None:
        tag = await found.layers.set_golden(call.name, call.tag)
        text = f"“{call.name}”: “{tag}” is golden; workstation reset-demo {call.name} goes back"
        _say(call, {"name": call.name, "golden": tag}, text)

    _with(call, "golden", act)


def reset_demo(call: "Call") -> None:
    """Back to the golden moment, whatever has happened since."""

    async def act(found: Workstation) -> None:
        await found.layers.reset_demo(call.name)
        report(call, found, f"back at “{found.layers.names_of(call.name).golden}”")

    _with(call, "reset-demo", act)


# -- branch ---------------------------------------------------------------------


def clone(call: "Call") -> None:
    """A new machine on the same layer, or a full copy."""

    async def act(found: Workstation) -> None:
        await found.layers.clone(call.name, call.new, at=call.at, full=call.full)
        view = found.view(call.new)
        goes_on = bool(found.layers.names_of(call.new).head.resume)
        how = "goes on at that moment, its network off" if goes_on else "boots cold"
        kind = "a copy that shares nothing" if call.full else "on the same layer"
        text = f"“{call.new}”: made, {kind}; workstation start {call.new}: it {how}"
        _say(call, as_data(view), text)

    _with(call, "clone", act)


# -- names and room -------------------------------------------------------------


def show_all(call: "Call") -> None:
    """A machine's snapshots, the oldest first."""

    async def act(found: Workstation) -> list[Entry]:
        return [entry for entry in found.layers.history(call.name) if entry.tags]

    entries = _with(call, "snapshots", act)
    if call.json:
        print(json.dumps([entry_data(entry) for entry in entries], indent=2))
    elif entries:
        heads = ("SNAPSHOT", "TAKEN", "SIZE", "HOLDS", "NOTE")
        print(table(heads, [cells(entry) for entry in entries]))
    else:
        print(f"“{call.name}” has no snapshots. Take one: workstation snapshot {call.name} TAG")


def rename(call: "Call") -> None:
    """Give a snapshot another name."""

    async def act(found: Workstation) -> None:
        found.layers.rename(call.name, call.tag, call.new)

    _with(call, "rename", act)
    data = {"name": call.name, "tag": call.new, "before": call.tag}
    _say(call, data, f"“{call.name}”: “{call.tag}” is now “{call.new}”")


def delete(call: "Call") -> int:
    """Delete a snapshot, and what nothing else stands on."""
    find(Paths.from_environment(), call.name)
    if not (call.yes or confirmed(f"Delete the snapshot “{call.tag}” of “{call.name}”?")):
        return 1

    async def act(found: Workstation) -> int:
        return await found.layers.forget(call.name, call.tag)

    freed = _with(call, "delete", act)
    data = {"name": call.name, "tag": call.tag, "deleted": True, "freed": freed}
    _say(call, data, f"“{call.name}”: “{call.tag}” deleted, {format_size(freed)} freed")
    return 0


def squash(call: "Call") -> None:
    """Merge a snapshot into what stands on it."""

    async def act(found: Workstation) -> int:
        await found.layers.squash(call.name, call.tag)
        return len(found.layers.store.chain(found.layers.names_of(call.name).head.layer))

    length = _with(call, "squash", act)
    data = {"name": call.name, "squashed": call.tag, "chain": length}
    _say(call, data, f"“{call.name}”: “{call.tag}” merged; layers below its head: {length}")


def compact(call: "Call") -> None:
    """Give back what a machine that is off does not need."""

    async def act(found: Workstation) -> int:
        return await found.layers.compact(call.name)

    freed = max(0, _with(call, "compact", act))
    _say(call, {"name": call.name, "freed": freed}, f"“{call.name}”: {format_size(freed)} freed")

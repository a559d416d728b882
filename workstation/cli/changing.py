"""`workstation set`, `forward` and `usb`: changes of machines, and what takes effect when."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from workstation.cli.station import station
from workstation.core.workstation import Workstation
from workstation.model.change import Effect
from workstation.model.machine import MachineView
from workstation.model.profile import Forward

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def set_(call: "Call") -> None:
    """Change keys of the profile, or say what that would do."""

    async def act(found: Workstation) -> list[Effect]:
        if call.dry_run:
            return found.changes.check(call.name, call.settings)
        return await found.changes.set(call.name, call.settings)

    _told(call, "set", act)


def forward_add(call: "Call") -> None:
    """Open a port."""
    _told(
        call, "forward",
        lambda found: found.changes.add_forward(call.name, call.forward, call.network),
    )  # fmt: skip


def forward_remove(call: "Call") -> None:
    """Close one."""
    _told(call, "forward", lambda found: found.changes.remove_forward(call.name, call.forward))


def forward_list(call: "Call") -> None:
    """Those asked for, and where they are while the machine runs."""

    async def act() -> MachineView:
        async with station("forward", call.name) as found:
            await found.settled(call.name)
            return found.view(call.name)

    rows = _forwards(asyncio.run(act()))
    if call.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['forward']:<28} adapter {row['network']}  {row['state']}")
    if not rows:
        print(f"“{call.name}” has no forwards")


def _forwards(view: MachineView) -> list[dict[str, Any]]:
    """A row a forward: of the machine's file, and of the guest that runs."""
    if not view.profile:
        return []
    open_now = list(view.forwards) if view.state.live else []
    rows = []
    for number, network in enumerate(view.profile.networks):
        for asked in network.forwards:
            got = next((one for one in open_now if _led_by(one, asked)), None)
            if got:
                open_now.remove(got)
            rows.append(_row(number, asked, got))
    return rows


def _led_by(got: Forward, asked: Forward) -> bool:
    """Whether it leads where that one was to; its host port may be another."""
    return got.model_copy(update={"host": asked.host}) == asked


def _row(number: int, asked: Forward, got: Forward | None) -> dict[str, Any]:
    state = "open" if got else "at the next start"
    forward = got or asked
    if got and got.host != asked.host:
        state = f"open; host port {asked.host} was taken"
    return {"network": number, "forward": str(forward), "asked": str(asked), "state": state}


def usb_list(call: "Call") -> None:
    """What is plugged in to this computer."""
    from workstation.core.host.usb import plugged_in

    devices = plugged_in()
    if call.json:
        rows = [{"kind": one.kind, "name": one.name, "bus": one.bus, "number": one.number,
                 "usable": one.usable} for one in devices]  # fmt: skip
        print(json.dumps(rows, indent=2))
        return
    for one in devices:
        print(f"{one.kind}  {one.name}{'' if one.usable else '  (closed to you)'}")
    if not devices:
        print("no USB device is plugged in")


def usb_attach(call: "Call") -> None:
    """Hand one to a guest."""
    _told(call, "usb", lambda found: found.changes.give_usb(call.name, call.kind))


def usb_detach(call: "Call") -> None:
    """Take it back."""
    _told(call, "usb", lambda found: found.changes.take_usb(call.name, call.kind))


def _told(
    call: "Call", command: str, act: Callable[[Workstation], Awaitable[list[Effect]]]
) -> None:
    """Do it, and print what takes effect when."""

    async def run() -> list[Effect]:
        async with station(command, call.name) as found:
            await found.settled(call.name)
            return await act(found)

    effects = asyncio.run(run())
    if call.json:
        rows = [{"key": one.key, "value": one.value, "when": one.when, "note": one.note}
                for one in effects]  # fmt: skip
        print(json.dumps(rows, indent=2))
        return
    for effect in effects:
        print(f"“{call.name}”: {effect}")
    if not effects:
        print(f"“{call.name}”: nothing changes")

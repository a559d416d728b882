"""`workstation show`, and a machine as text and as data."""

import asyncio
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from workstation.errors import InvalidError
from workstation.model.machine import MachineView
from workstation.model.profile import Profile
from workstation.model.text import safe, safe_line
from workstation.model.units import format_duration, format_size
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call
    from workstation.core.layers.verbs import Layers

_WEB_PORTS = (80, 3000, 5000, 8000, 8080)
"""Ports in a guest behind which there is most likely a page."""


def show(call: "Call") -> None:
    """Everything that is known of one machine."""
    from workstation.cli.station import station

    async def act() -> tuple[MachineView, dict[str, Any]]:
        async with station("show", call.name) as found:
            await found.settled(call.name)
            await found.guests.look(call.name)
            await found.guests.refresh(call.name)
            return found.view(call.name), _layers(found.layers, call.name)

    view, layers = asyncio.run(act())
    print(json.dumps(as_data(view) | layers, indent=2) if call.json else _described(view, layers))


def _layers(layers: "Layers", name: str) -> dict[str, Any]:
    """Its snapshots, and bytes written since the last one; None where that cannot be read."""
    try:
        known = layers.names_of(name)
        written: int | None = layers.written(name)
    except InvalidError:
        return {"snapshots": [], "golden": "", "written": None}
    return {"snapshots": list(known.snapshots), "golden": known.golden, "written": written}


def as_data(view: MachineView) -> dict[str, Any]:
    """A view as JSON has it."""
    return {
        "name": view.name,
        "state": view.state,
        "reason": view.reason,
        "since": view.since,
        "uuid": view.uuid,
        "based_on": view.based_on,
        "pid": view.pid,
        "accelerator": view.accelerator,
        "forwards": [str(forward) for forward in view.forwards],
        "panicked": view.panicked,
        "set_up": not view.unfinished,
        "guest": asdict(view.guest) if view.guest else None,
        "problem": view.problem,
        "reads": view.reads,
        "alarm": view.alarm,
        "busy": view.holder.verb if view.holder else "",
        "profile": view.profile.model_dump(mode="json") if view.profile else None,
    }


def reachable(view: MachineView) -> list[str]:
    """The forwards in force, as addresses to open; none where nothing answers them."""
    if not view.state.live:
        return []
    return [
        f"http://{forward.address}:{forward.host}"
        if forward.guest in _WEB_PORTS and forward.protocol == "tcp"
        else f"{forward.address}:{forward.host} → {forward.guest}/{forward.protocol}"
        for forward in view.forwards
    ]


def _described(view: MachineView, layers: dict[str, Any]) -> str:
    lines = []
    for key, value in _facts(view, layers):
        first, *others = safe(value).splitlines() or [""]
        if value:
            lines += [f"{key:<12} {first}", *(f"{'':<12} {line}" for line in others)]
    return "\n".join(lines)


def _facts(view: MachineView, layers: dict[str, Any]) -> list[tuple[str, str]]:
    since = f" for {format_duration(time.time() - view.since)}" if view.since else ""
    return [
        ("name", view.name),
        *(_about(view.profile, view.based_on) if view.profile else ()),
        ("state", f"{view.state}{since}"),
        ("because", safe_line(view.reason)),
        ("problem", view.problem),
        ("alarm", view.alarm),
        ("busy", f"{view.holder.front_end}: {view.holder.verb}" if view.holder else ""),
        ("accelerator", view.accelerator if view.state.live else ""),
        ("pid", str(view.pid or "")),
        ("reach", "\n".join(reachable(view))),
        *_guest(view),
        ("snapshots", _snapshots(layers)),
        ("reads in", view.reads),
        *(_hardware(view.profile) if view.profile else ()),
        ("uuid", view.uuid),
        ("file", str(Paths.from_environment().machine(view.name).file)),
    ]


def _guest(view: MachineView) -> list[tuple[str, str]]:
    """What the guest says of itself."""
    pending = [("set-up", "its first boot has not finished")] if view.unfinished else []
    if not view.guest:
        return pending
    said = view.guest
    kernel = f", kernel {said.kernel}" if said.kernel else ""
    return [
        *pending,
        ("system", safe_line(f"{said.system}{kernel}")),
        ("host name", safe_line(said.host_name)),
        ("addresses", safe_line(", ".join(said.addresses))),
    ]


def _snapshots(layers: dict[str, Any]) -> str:
    """`3, golden: before, 84 MiB written since the last one`."""
    if not layers["snapshots"]:
        return "none"
    golden = f", golden: {layers['golden']}" if layers["golden"] else ""
    since = f", {format_size(layers['written'])} written since the last one"
    return f"{len(layers['snapshots'])}{golden}{since}"


def _about(profile: Profile, based_on: str) -> list[tuple[str, str]]:
    return [("description", safe_line(profile.description)), ("profile", safe_line(based_on))]


def _hardware(profile: Profile) -> list[tuple[str, str]]:
    drives = [format_size(drive.size) if drive.size else drive.image or "" for drive in
              profile.drives]  # fmt: skip
    return [
        ("machine", safe_line(profile.machine.type)),
        ("cpus", f"{profile.cpu.count} × {safe_line(profile.cpu.model)}"),
        ("memory", format_size(profile.memory)),
        ("drives", safe_line(", ".join(drives))),
        ("tags", safe_line(", ".join(profile.tags))),
        ("notes", profile.notes),
    ]

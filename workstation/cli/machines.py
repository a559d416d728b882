"""The commands that act on machines."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from workstation.core.workstation import DEMO, Workstation
from workstation.errors import UsageError
from workstation.model.events import Activity, Event
from workstation.model.machine import MachineView
from workstation.model.text import safe, safe_line
from workstation.model.units import format_duration, format_size
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call


@asynccontextmanager
async def _station(command: str, *names: str) -> AsyncIterator[Workstation]:
    paths = Paths.from_environment()
    front_end = f"workstation {command}"
    async with Workstation(paths, front_end=front_end, only=names, watch=False) as station:
        yield station


# -- looking ------------------------------------------------------------------


def show(call: "Call") -> None:
    """Everything that is known of one machine."""

    async def act() -> None:
        async with _station("show", call.name) as station:
            await station.settled(call.name)
            view = station.view(call.name)
            print(json.dumps(as_data(view), indent=2) if call.json else _described(station, view))

    asyncio.run(act())


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
        "problem": view.problem,
        "busy": view.holder.verb if view.holder else "",
        "profile": view.profile.model_dump(mode="json") if view.profile else None,
    }


def _described(station: Workstation, view: MachineView) -> str:
    return "\n".join(f"{key:<12} {safe(value)}" for key, value in _facts(station, view) if value)


def _facts(station: Workstation, view: MachineView) -> list[tuple[str, str]]:
    import time

    paths = station.paths.machine(view.name)
    since = time.time() - view.since
    profile = view.profile
    facts = [
        ("name", view.name),
        ("state", f"{view.state} for {format_duration(since)}" if view.since else view.state),
        ("because", view.reason),
        ("problem", view.problem),
        ("busy", f"{view.holder.front_end}: {view.holder.verb}" if view.holder else ""),
        ("accelerator", view.accelerator),
        ("pid", str(view.pid or "")),
        ("reach", "  ".join(reachable(view))),
        ("uuid", view.uuid),
        ("file", str(paths.file)),
    ]
    if profile:
        facts[1:1] = [("description", profile.description), ("profile", view.based_on)]
        facts[-2:-2] = [
            ("machine", profile.machine.type),
            ("cpus", f"{profile.cpu.count} × {profile.cpu.model}"),
            ("memory", format_size(profile.memory)),
            ("drives", ", ".join(format_size(d.size) if d.size else d.image or "" for d in
                                 profile.drives)),
            ("tags", ", ".join(profile.tags)),
        ]  # fmt: skip
    return facts


def reachable(view: MachineView) -> list[str]:
    """The forwards in force, as addresses to open."""
    web = (80, 3000, 5000, 8000, 8080)
    return [
        f"http://{forward.address}:{forward.host}"
        if forward.guest in web and forward.protocol == "tcp"
        else f"{forward.address}:{forward.host} → {forward.guest}/{forward.protocol}"
        for forward in view.forwards
    ]


def logs(call: "Call") -> None:
    """What the guest, or QEMU, has printed."""
    from workstation.core.names import find

    paths = find(Paths.from_environment(), call.name)
    file = paths.qemu_log if call.qemu else paths.serial_log

    async def follow() -> None:
        from workstation.core.serial import follow as pieces

        async for piece in pieces(file, forever=call.follow):
            _print_guest(piece, raw=call.raw)

    asyncio.run(follow())


def _print_guest(data: bytes, *, raw: bool) -> None:
    if raw:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    from workstation.core.serial import readable

    print(safe(readable(data), limit=len(data) + 1), end="", flush=True)


# -- making -------------------------------------------------------------------


def demo(call: "Call") -> int:
    """The demo, ready; then the screens, where there are any."""

    async def act() -> MachineView:
        async with _station("demo", DEMO) as station:
            with _progress(station):
                await station.demo()
            return station.view(DEMO)

    view = asyncio.run(act())
    if call.json:
        print(json.dumps(as_data(view), indent=2))
    elif call.headless or not _interactive():
        print(_how_to_reach(view))
    else:
        from workstation.cli.screens import library

        return library(call)
    return 0


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _how_to_reach(view: MachineView) -> str:
    lines = [f"“{view.name}” is {view.state}; its guest is ready."]
    lines += [f"  its page:     {address}" for address in reachable(view)]
    lines += [
        f"  its console:  workstation console {view.name}   (ctrl+] leaves)",
        "  the screens:  workstation",
        f"  shut it down: workstation stop {view.name}",
    ]
    return "\n".join(lines)


@contextlib.contextmanager
def _progress(station: Workstation) -> Iterator[None]:
    """Tell on standard error what is going on, where a person reads it."""
    last = ""

    def told(event: Event) -> None:
        nonlocal last
        if isinstance(event, Activity) and not event.finished and event.title != last:
            last = event.title
            print(f"  {safe_line(event.title)} …", file=sys.stderr, flush=True)

    undo = station.subscribe(told)
    try:
        yield
    finally:
        undo()


def create(call: "Call") -> None:
    """A new machine from a profile."""
    from workstation.profile.overrides import apply_overrides

    async def act() -> None:
        async with _station("create", call.name) as station:
            profile = apply_overrides(station.load_profile(call.profile), call.set)
            await station.create(call.name, profile, based_on=profile.name)
            if call.start:
                await station.start(call.name)
            _report(call, station, "made and started" if call.start else "made")

    asyncio.run(act())


def _report(call: "Call", station: Workstation, done: str) -> None:
    view = station.view(call.name)
    if call.json:
        print(json.dumps(as_data(view), indent=2))
        return
    where = "".join(f"  {address}" for address in reachable(view))
    print(f"“{view.name}”: {done}{where}")


def edit(call: "Call") -> None:
    """The machine's file in $EDITOR, again until it is right or left as it was."""
    from workstation.cli.editing import edit_until_valid

    async def act() -> None:
        async with _station("edit", call.name) as station:
            old = station.definition_text(call.name)
            changed = await edit_until_valid(
                old, f"{call.name}.yaml", lambda text: station.save_definition(call.name, text)
            )
            running = station.view(call.name).state.live
            effect = " (takes effect at the next start)" if changed and running else ""
            print(f"“{call.name}”: {'saved' if changed else 'unchanged'}{effect}")

    asyncio.run(act())


def delete(call: "Call") -> None:
    """Asks first, where there is somebody to ask."""

    async def act() -> None:
        async with _station("delete", call.name) as station:
            station.view(call.name)
            if not call.yes:
                _confirm(f"Delete “{call.name}” and its disks?")
            await station.delete(call.name)
            print(f"“{call.name}”: deleted")

    asyncio.run(act())


def _confirm(question: str) -> None:
    if not _interactive():
        raise UsageError("deleting needs a yes", hint="say it with --yes")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise UsageError("left as it is")


# -- running ------------------------------------------------------------------


def _act(call: "Call", verb: str, done: str, act: Callable[[Workstation], Awaitable[None]]) -> None:
    async def run() -> None:
        async with _station(verb, call.name) as station:
            await act(station)
            _report(call, station, done)

    asyncio.run(run())


def start(call: "Call") -> None:
    """Start it, and wait for its guest where that is asked for."""

    async def act(station: Workstation) -> None:
        await station.start(call.name, force=call.force)
        if call.wait:
            await station.wait_ready(call.name, timeout=call.timeout)

    _act(call, "start", "ready" if call.wait else "running", act)


def stop(call: "Call") -> None:
    verb = Workstation.kill if call.force else Workstation.stop
    _act(call, "stop", "off", lambda station: verb(station, call.name))


def pause(call: "Call") -> None:
    _act(call, "pause", "paused", lambda station: station.pause(call.name))


def resume(call: "Call") -> None:
    _act(call, "resume", "running", lambda station: station.resume(call.name))


def reset(call: "Call") -> None:
    _act(call, "reset", "reset", lambda station: station.reset(call.name))


def console(call: "Call") -> None:
    """The serial line, in this terminal."""
    from workstation.core.console import attach

    async def act() -> None:
        async with _station("console", call.name) as station:
            print(f"“{call.name}”: ctrl+] leaves", file=sys.stderr)
            why = await attach(station, call.name)
            print(f"\n“{call.name}”: {why}", file=sys.stderr)

    asyncio.run(act())

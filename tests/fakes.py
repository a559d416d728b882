"""A Workstation without QEMU: its machines live in memory and do as they are told.

`python -m tests.fakes [--machines N] [--empty] [--no-qemu]` opens the screens on it, with live
changes, to look at and to play with.
"""

import argparse
import asyncio
import importlib
import math
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from textual.app import App
from textual.pilot import Pilot

from tests.fake_carry import FakeCarry, FakeForeign, FakeInPlace
from tests.fake_change import FakeChanges
from tests.fake_layers import NOW, FakeLayers, a_layer, demo_past, recent, screen_of_a_guest
from tests.fake_making import FakeMaking
from tests.fake_screens import FakeScreens, desktop
from tests.fake_session import FakeSession
from workstation.core.guest.hosts import Door
from workstation.core.guest.verbs import Guests
from workstation.core.serial.session import Link
from workstation.core.workstation import Workstation
from workstation.errors import InvalidError, NotFoundError, OvercommitError, WorkstationError
from workstation.model.events import (
    Activity,
    Event,
    Logged,
    MachineChanged,
    MachineRemoved,
    Sampled,
    Severity,
)
from workstation.model.host import Finding, HostFacts, Level
from workstation.model.machine import Holder, MachineView, Sample, State, Verb, require
from workstation.model.profile import Profile
from workstation.model.settings import Settings
from workstation.paths import Paths
from workstation.profile.catalog import ProfileEntry
from workstation.ui.app import WorkstationApp
from workstation.ui.outside import Outside

GIB = 2**30

OUTSIDE = Outside(
    now=lambda: NOW, disk_free=lambda path: 80 * GIB, disk_used=lambda path: 84 * 2**20
)


def profile(name: str, **more: object) -> Profile:
    return Profile.model_validate({"name": name, "memory": "512 MiB", **more})


PROFILES = {
    "appliance": profile(
        "appliance", description="A small Linux with a web page", memory="128 MiB", ready="ready"
    ),
    "debian-12": profile(
        "debian-12", description="Debian 12, to be installed from its disc", memory="2 GiB",
        cpu={"cores": 2}, drives=[{"size": "20 GiB"}],
    ),
    "sales-demo": profile(
        "sales-demo", description="The appliance with its web page on port 8080", memory="128 MiB",
        networks=[{"forwards": ["8080:80"]}], drives=[{"size": "64 MiB"}],
    ),
    "windows-11": profile(
        "windows-11", description="Windows 11, with Secure Boot and a TPM", memory="4 GiB",
        cpu={"cores": 4}, boot={"firmware": "uefi-secure"}, drives=[{"size": "64 GiB"}],
    ),
}  # fmt: skip

SERIAL = b"""\
\x1b[2J\x1b[H[    0.812345] virtio_blk virtio1: [vda] 131072 512-byte logical blocks\r
[    1.204411] EXT4-fs (vda): mounted filesystem with ordered data mode\r
\x1b[1;32m*\x1b[0m eth0: 10.0.2.15, gateway 10.0.2.2\r
\x1b[1;32m*\x1b[0m web page on port 80\r
\r
Welcome to the \x1b[1mappliance\x1b[0m. Try: load, panic, poweroff\r
\r
sales-demo login: root (automatic login)\r
/ # uptime\r
 08:53:11 up 12 min,  load average: 0.12, 0.08, 0.03\r
/ # """


def samples_of(seed: int, count: int = 60) -> list[Sample]:
    """A plausible two minutes."""
    return [
        Sample(
            time=float(number),
            cpu=0.12
            + 0.1 * math.sin((number + seed) / 4)
            + (0.5 if number % 17 == seed % 17 else 0),
            resident=(84 + (number + seed) % 30) * 2**20,
            disk_read=max(0.0, 3e6 * math.sin((number + seed) / 7)),
            disk_write=max(0.0, 1.5e6 * math.cos((number + seed) / 3)),
        )
        for number in range(count)
    ]


class FakeGuests(Guests):
    """Guests without agents; `code` is how ssh ends."""

    code = 0

    def __init__(self, station: "FakeWorkstation") -> None:
        self._fake = station

    async def refresh(self, name: str) -> None:
        pass

    async def door(self, name: str, user: str = "") -> Door:
        return Door(2222)

    async def ssh(
        self, name: str, command: Sequence[str] = (), *, user: str = "", terminal: bool = False
    ) -> int:
        self._fake.calls.append(("ssh", name))
        return self.code


class FakeWorkstation(Workstation):
    """Records every verb in `calls`; `fails[verb]` makes that verb raise."""

    def __init__(self, paths: Paths | None = None, *, views: Sequence[MachineView] = ()) -> None:
        root = Path("/nonexistent")
        self.paths = paths or Paths(root / "data", root / "config", root / "cache", root / "run")
        self._views = {view.name: view for view in sorted(views, key=lambda view: view.name)}
        self._going: dict[int, Activity] = {}
        self.log = deque(maxlen=1000)
        self.calls: list[tuple[str, ...]] = []
        self.fails: dict[str, WorkstationError] = {}
        self.entering = asyncio.Event()
        self.entering.set()
        self.entered = False
        self.left = False
        self.calm = False
        self.focused: str | None = None
        self.serial: dict[str, bytes] = {}
        self.screens: FakeScreens = FakeScreens(self)
        self.sessions: dict[str, FakeSession] = {}
        self.history: dict[str, list[Sample]] = {}
        self.texts: dict[str, str] = {}
        self.facts = HostFacts(
            qemu="/usr/bin/qemu-system-x86_64", kvm=True, cpus=8, memory=24 * GIB,
            qemu_version=(7, 2, 0),
        )  # fmt: skip
        self.doctor = [
            Finding("QEMU", Level.OK, "7.2.0 at /usr/bin/qemu-system-x86_64"),
            Finding("KVM", Level.OK, "machines run on the hardware"),
            Finding("UEFI", Level.OK, "firmware with and without Secure Boot"),
            Finding("TPM", Level.NOTE, "swtpm is missing: no TPM", "apt install swtpm"),
        ]
        self.hold: dict[str, asyncio.Event] = {}
        """A verb that is held waits for its event."""
        self._callbacks: list[Callable[[Event], None]] = []
        self.past = FakeLayers(self)
        self.layers = self.past
        self.changes = FakeChanges(self)
        self.bundles = FakeCarry(self)
        self.carry = self.bundles
        self.sticks = FakeInPlace(self)
        self.inplace = self.sticks
        self.others = FakeForeign(self)
        self.foreign = self.others
        self.wizard = FakeMaking(self)
        self.making = self.wizard
        self.inside = FakeGuests(self)
        self.guests = self.inside
        self.settings = Settings()

    async def __aenter__(self) -> Self:
        await self.entering.wait()
        self.entered = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.left = True

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    # -- driving it from a test ---------------------------------------------

    def publish(self, event: Event) -> None:
        """As the core would: keep it, and tell everybody."""
        match event:
            case MachineChanged(view):
                self._views[view.name] = view
                self._views = dict(sorted(self._views.items()))
            case MachineRemoved(name):
                self._views.pop(name, None)
            case Activity(finished=True):
                self._going.pop(event.id, None)
            case Activity():
                self._going[event.id] = event
            case Logged():
                self.log.append(event)
        for callback in list(self._callbacks):
            callback(event)

    def change(self, name: str, **fields: object) -> MachineView:
        """Publish the machine with these fields changed."""
        view = replace(self._views[name], **fields)  # type: ignore[arg-type]
        self.publish(MachineChanged(view))
        return view

    def say(self, text: str, machine: str = "", severity: Severity = Severity.INFO) -> None:
        self.publish(Logged(NOW, machine, text, severity))

    # -- looking ------------------------------------------------------------

    @property
    def machines(self) -> Mapping[str, MachineView]:
        return dict(self._views)

    @property
    def activities(self) -> Mapping[int, Activity]:
        return dict(self._going)

    def samples(self, name: str) -> Sequence[Sample]:
        return self.history.get(name, ()) if self._views[name].state.live else ()

    def focus(self, name: str | None) -> None:
        self.focused = name

    def serial_tail(self, name: str, *, size: int = 65_536) -> bytes:
        return self.serial.get(name, b"")[-size:]

    def session(self, name: str) -> FakeSession:
        view = self._views[name]
        link = Link.OPEN if view.state.live else Link.OFF
        self.sessions[name] = FakeSession(self.serial.get(name, b""), link)
        return self.sessions[name]

    async def host_facts(self) -> HostFacts:
        return self.facts

    async def findings(self) -> list[Finding]:
        return self.doctor

    def profiles(self) -> list[ProfileEntry]:
        return [
            ProfileEntry(name, Path(f"/profiles/{name}.yaml"), made.description)
            for name, made in PROFILES.items()
        ]

    def load_profile(self, name: str) -> Profile:
        if Path(name).stem not in PROFILES and name not in PROFILES:
            raise NotFoundError(f"there is no profile “{name}”")
        return PROFILES[name if name in PROFILES else Path(name).name.removesuffix(".yaml")]

    # -- acting -------------------------------------------------------------

    async def _called(self, verb: str, name: str, *more: str) -> None:
        self.calls.append((verb, name, *more))
        if verb in self.hold:
            await self.hold[verb].wait()
        if error := self.fails.get(verb):
            raise error

    async def create(self, name: str, profile: Profile, *, based_on: str = "") -> MachineView:
        await self._called("create", name, based_on)
        view = MachineView(name, State.CREATED, profile, based_on=based_on)
        self.publish(MachineChanged(view))
        return view

    async def _move(self, verb: Verb, name: str, state: State, *more: str) -> None:
        require(verb, name, self._views[name].state)
        await self._called(verb, name, *more)
        self.change(name, state=state, since=NOW, reason="")

    async def start(self, name: str, *, force: bool = False, cold: bool = False) -> None:
        if not force and "overcommit" in self.fails:
            await self._called("start", name)
            raise self.fails["overcommit"]
        more = [*(["force"] if force else []), *(["cold"] if cold else [])]
        await self._move(Verb.START, name, State.RUNNING, *more)

    async def stop(self, name: str) -> None:
        await self._move(Verb.STOP, name, State.OFF)

    async def kill(self, name: str) -> None:
        await self._move(Verb.KILL, name, State.OFF)

    async def pause(self, name: str) -> None:
        await self._move(Verb.PAUSE, name, State.PAUSED)

    async def resume(self, name: str) -> None:
        await self._move(Verb.RESUME, name, State.RUNNING)

    async def reset(self, name: str) -> None:
        await self._move(Verb.RESET, name, State.RUNNING)

    async def delete(self, name: str) -> None:
        require(Verb.DELETE, name, self._views[name].state)
        await self._called("delete", name)
        self.publish(MachineRemoved(name))

    async def demo(self) -> str:
        await self._called("demo", "")
        await self.create("sales-demo", PROFILES["sales-demo"], based_on="sales-demo")
        await self.start("sales-demo")
        return "sales-demo"

    async def wait_ready(
        self,
        name: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        since: int = 0,
    ) -> None:
        await self._called("wait_ready", name)

    async def keep_theme(self, theme: str) -> None:
        await self._called("theme", theme)
        self.settings = self.settings.model_copy(update={"theme": theme})

    def cancel(self, activity: int) -> None:
        self.calls.append(("cancel", str(activity)))

    # -- editing ------------------------------------------------------------

    def definition_text(self, name: str) -> str:
        return self.texts.get(name, f"profile:\n  name: {name}\n")

    async def save_definition(self, name: str, text: str) -> None:
        await self._called("edit", name)
        if "memroy" in text:
            raise InvalidError(
                "machine.yaml has 1 problem",
                hint="edit it again, nothing has changed",
                details="line 3, column 3: memroy: unknown key; did you mean “memory”?",
            )
        self.texts[name] = text


def library() -> FakeWorkstation:
    """One machine of every kind, two of them running."""
    demo, debian = PROFILES["sales-demo"], PROFILES["debian-12"]
    station = FakeWorkstation(
        views=[
            MachineView(
                "sales-demo", State.RUNNING, demo.model_copy(update={"tags": ("demo", "web")}),
                since=NOW - 751, pid=4711, accelerator="kvm", based_on="sales-demo",
                forwards=demo.networks[0].forwards,
            ),
            MachineView("build-box", State.PAUSED, debian, since=NOW - 90_061, accelerator="kvm"),
            MachineView("crm", State.FROZEN, demo, since=NOW - 4000),
            MachineView("debian-12", State.OFF, debian, since=NOW - 9000, based_on="debian-12"),
            MachineView("lab-1", State.STARTING, demo, since=NOW - 1),
            MachineView("lab-2", State.STOPPING, demo, since=NOW - 100),
            MachineView(
                "win11", State.CRASHED, PROFILES["windows-11"], since=NOW - 60,
                reason="QEMU was killed (signal 9); the kernel's log may say that memory ran out",
            ),
            MachineView("fresh", State.CREATED, demo),
            MachineView(
                "typo", State.OFF, None,
                problem="machine.yaml, line 7, column 5: profile.memroy: unknown key;"
                " did you mean “memory”?",
            ),
            MachineView("kernel-lab", State.PAUSED, demo, since=NOW - 30, panicked=True,
                        reason="the guest has reported a panic"),
            MachineView("shared", State.OFF, debian,
                        holder=Holder("start", 4242, NOW - 3, "workstation start")),
        ]
    )  # fmt: skip
    station.past.pasts["sales-demo"] = demo_past()
    station.past.unsaved["sales-demo"] = 84 * 2**20
    station.past.pasts["debian-12"] = [
        a_layer(1, "", None, hours=200, mib=400, memory=False, note="images")
    ]
    station.history = {name: samples_of(len(name)) for name in station.machines}
    station.serial = dict.fromkeys(("sales-demo", "kernel-lab"), SERIAL)
    for text in ("adopted", "power button pressed"):
        station.say(text, "sales-demo")
    station.say("QEMU was killed (signal 9)", "win11", Severity.ERROR)
    station.say("is low on memory: 600 MiB left", "", Severity.WARNING)
    return station


def many(count: int, live: int) -> FakeWorkstation:
    """`count` machines, the first `live` of them running."""
    made = PROFILES["debian-12"]
    station = FakeWorkstation(
        views=[
            MachineView(
                f"machine-{number:03}", State.RUNNING if number < live else State.OFF, made,
                since=NOW - 1000 - number,
            )
            for number in range(count)
        ]
    )  # fmt: skip
    station.history = {name: samples_of(number) for number, name in enumerate(station.machines)}
    station.serial = dict.fromkeys(station.machines, SERIAL)
    return station


def overcommitted(name: str) -> OvercommitError:
    return OvercommitError(
        f"“{name}” needs 4 GiB, and this computer has 2.1 GiB left of 24 GiB",
        hint="stop another machine first, or give this one less memory",
    )


# -- driving the screens ------------------------------------------------------


def app_on(station: FakeWorkstation, **more: Any) -> WorkstationApp:
    """The program on this station, with a fixed clock and a spinner that stands still."""
    return WorkstationApp(lambda: station, outside=OUTSIDE, spin=False, **more)


async def ready(condition: Callable[[], object]) -> None:
    """Let the program run until the condition holds; raises TimeoutError if it never does."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (it may be anything on the screen)
            await asyncio.sleep(0.01)


async def until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    """The same, and until everything is painted."""
    await ready(condition)
    await pilot.pause()


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until the library is open and the header says everything."""
    library = cast(WorkstationApp, pilot.app).library
    await ready(lambda: library.header.usage.disk_free is not None)


@asynccontextmanager
async def opened(
    station: FakeWorkstation, size: tuple[int, int] = (100, 30)
) -> AsyncIterator[tuple[WorkstationApp, Pilot[None]]]:
    """The program, open on this station."""
    app = app_on(station)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        await pilot.pause()
        yield app, pilot


def shown(app: App[Any]) -> str:
    """Every character on the screen, a line each."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


# -- a live run to look at ----------------------------------------------------


async def play(station: FakeWorkstation, period: float = 1.0) -> None:
    """Samples, output and changes of state, for as long as it is awaited."""
    async for step in _steps(period):
        live = [name for name, view in station.machines.items() if view.state.live]
        for name in live:
            station.history.setdefault(name, []).append(samples_of(step + len(name), 1)[0])
            del station.history[name][:-120]
            station.serial[name] = station.serial.get(name, SERIAL) + b"\r\ntick %d" % step
        station.publish(Sampled({name: station.history[name][-1] for name in live}))
        if station.calm:
            continue
        work = Activity(1, "export sales-demo → STICK", (step % 30) * 1e8, 3e9, "B", 2.12e8)
        station.publish(replace(work, finished=step % 30 == 29))


async def storm(station: FakeWorkstation, period: float = 0.1) -> None:
    """Every live machine changes, over and over."""
    async for step in _steps(period):
        state = State.PAUSED if step % 2 else State.RUNNING
        for name, view in station.machines.items():
            if view.state.live:
                station.change(name, state=state)


async def _steps(period: float) -> AsyncIterator[int]:
    step = 0
    while True:
        yield step
        await asyncio.sleep(period)
        step += 1


class PlayingWorkstation(FakeWorkstation):
    """One that moves by itself from the moment it is entered."""

    stormy = False
    _players: tuple[asyncio.Task[None], ...] = ()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        players = [play(self), storm(self)] if self.stormy else [play(self)]
        self._players = tuple(asyncio.create_task(player) for player in players)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for task in self._players:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _move(self, verb: Verb, name: str, state: State, *more: str) -> None:
        passing = {State.RUNNING: State.STARTING, State.OFF: State.STOPPING}.get(state)
        if passing and verb in (Verb.START, Verb.STOP):
            require(verb, name, self._views[name].state)
            self.change(name, state=passing, since=time.time())
            await asyncio.sleep(1.5)
            self.change(name, state=State.OFF if verb is Verb.START else State.RUNNING)
        await super()._move(verb, name, state, *more)
        self.change(name, since=time.time())


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes", description=__doc__)
    parser.add_argument("--machines", type=int, default=0)
    parser.add_argument("--live", type=int, default=50)
    parser.add_argument("--storm", action="store_true", help="50 machines change 10 times a second")
    parser.add_argument("--calm", action="store_true", help="no long work")
    parser.add_argument("--empty", action="store_true")
    parser.add_argument("--desktop", action="store_true", help="every machine has a screen")
    parser.add_argument("--no-qemu", action="store_true")
    options = parser.parse_args(argv)

    def make() -> Workstation:
        model = many(options.machines, options.live) if options.machines else library()
        home = tempfile.mkdtemp()
        picture = screen_of_a_guest(Path(home))
        station = PlayingWorkstation(Paths.from_environment({"HOME": home}))
        station.stormy, station.calm = options.storm, options.calm
        if not options.empty:
            for view in model.machines.values():
                shifted = replace(view, since=view.since and view.since - NOW + time.time())
                station.publish(MachineChanged(shifted))
            station.history, station.serial, station.log = (
                model.history, model.serial, model.log,
            )  # fmt: skip
            station.past.pasts = {name: recent(demo_past(picture)) for name in station.machines}
            station.past.unsaved = dict.fromkeys(station.machines, 84 * 2**20)
            if options.desktop:
                # A busy computer is no terminal without graphics.
                vars(importlib.import_module("workstation.ui.screen.graphics"))["SECONDS"] = 60.0
                station.screens.canvases = dict.fromkeys(station.machines, desktop())
        if options.no_qemu:
            station.facts = HostFacts(memory=24 * GIB)
            station.doctor[0] = Finding(
                "QEMU", Level.PROBLEM, "QEMU is not installed", "apt install qemu-system-x86"
            )
        return station

    from workstation.ui import run

    run(make)


if __name__ == "__main__":
    main()

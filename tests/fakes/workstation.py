"""The invented Workstation: every verb is recorded, some move its machines."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fakes.carry import FakeCarry, FakeForeign, FakeInPlace
from tests.fakes.change import FakeChanges
from tests.fakes.layers import NOW, FakeLayers
from tests.fakes.making import FakeMaking
from tests.fakes.profiles import PROFILES
from tests.fakes.screens import FakeScreens
from tests.fakes.session import FakeSession
from workstation.core.guest.hosts import Door
from workstation.core.guest.verbs import Guests
from workstation.core.serial.session import Link
from workstation.core.workstation import Workstation
from workstation.errors import InvalidError, NotFoundError, WorkstationError
from workstation.model.events import (
    Activity,
    Event,
    Logged,
    MachineChanged,
    MachineRemoved,
    Severity,
)
from workstation.model.host import Finding, HostFacts, Level
from workstation.model.machine import MachineView, Sample, State, Verb, require
from workstation.model.profile import Profile
from workstation.model.settings import Settings
from workstation.paths import Paths
from workstation.profile.catalog import ProfileEntry

GIB = 2**30


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

"""The whole program without a screen: what the TUI and the command line both drive."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from workstation.core.activities import Activities, Progress
from workstation.core.change.verbs import Changes
from workstation.core.demo import run_demo
from workstation.core.foreign.verbs import Foreign
from workstation.core.guest import wait
from workstation.core.guest.verbs import Guests
from workstation.core.host import admission
from workstation.core.images import Images
from workstation.core.layers.collect import collect_quietly
from workstation.core.layers.digesting import Digesting
from workstation.core.layers.fitting import check_drives, fit
from workstation.core.layers.mending import Mending
from workstation.core.layers.verbs import Layers
from workstation.core.library import library
from workstation.core.library.fleet import Fleet
from workstation.core.machine import verbs
from workstation.core.machine.create import create_machine
from workstation.core.machine.machine import Machine
from workstation.core.machine.sampling import Sampling
from workstation.core.making.verbs import Making
from workstation.core.screen.verbs import Screens
from workstation.core.serial import log as serial
from workstation.core.serial import ready
from workstation.core.serial.session import Session
from workstation.core.settings import load_settings, save_theme
from workstation.errors import InvalidError
from workstation.model.events import (
    Activity,
    Event,
    Logged,
    MachineChanged,
    Severity,
)
from workstation.model.host import Finding, HostFacts
from workstation.model.machine import MachineView, Sample, Verb
from workstation.model.profile import Accelerator, Profile
from workstation.paths import Paths
from workstation.profile.catalog import ProfileEntry, find_profile, list_profiles
from workstation.profile.load import load_profile, parse_definition
from workstation.qemu.accel import VARIABLE, Choice, choose_accelerator
from workstation.qemu.host import probe

if TYPE_CHECKING:
    from workstation.core.bundle.verbs import Carry
    from workstation.core.inplace.verbs import InPlace

LOG_KEPT = 1000

Working = AbstractContextManager[Progress]


class Workstation:
    """One front-end's hold on the machines of this user.

    `async with Workstation(paths) as station:` adopts every running VM; leaving it lets go of
    them and never stops one. All methods belong to the event loop that entered it.
    Verbs raise NotAllowedError where the state forbids them, BusyError where another front-end
    is at work on the machine, NotFoundError for a name that is not there.

    `only` narrows the supervision to those machines; without `watch`, changes that others make
    to files go unnoticed: both for commands that do one thing and end.
    """

    def __init__(
        self,
        paths: Paths,
        *,
        front_end: str = "workstation",
        only: Collection[str] | None = None,
        watch: bool = True,
    ) -> None:
        self.paths = paths
        self.front_end = front_end
        self.log: deque[Logged] = deque(maxlen=LOG_KEPT)
        self._watching = watch
        self._fleet = Fleet(paths, self._publish, self._noticed, only)
        self._subscribers: list[Callable[[Event], None]] = []
        self._activities = Activities(self._publish)
        self._sampling = Sampling(self._fleet, self._publish)
        self._stack = AsyncExitStack()
        self.layers = Layers(self)
        self.guests = Guests(self)
        self.making = Making(self)
        self.screens = Screens(self)
        self.foreign = Foreign(self)
        self.changes = Changes(self)
        self._digesting = Digesting(self, stays=watch)

    # -- life ---------------------------------------------------------------

    async def __aenter__(self) -> Self:
        # Libraries log what they also raise; a line on the terminal would spoil the screens.
        logging.getLogger().addHandler(logging.NullHandler())
        self.paths.prepare()
        self.settings = load_settings(self.paths)
        await asyncio.to_thread(library.clear_leftovers, self.paths)
        self._group = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._stack.callback(self._cancel_tasks)
        self._mending = Mending(self.layers.store, self.front_end, self._group)
        self._stack.callback(self._mending.cancel)
        self._first_boots = self.guests.first_boots(self._group)
        self._stack.callback(self._first_boots.cancel)
        if self._watching:
            self._watch()
        await self._fleet.adopt_all(self._group)
        self._background = [self._group.create_task(self._sampling.go_on(), name="sampling")]
        if self._watching:
            self._background.append(
                self._group.create_task(self._digesting.go_on(), name="digests")
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(None, None, None)

    def _cancel_tasks(self) -> None:
        self._fleet.cancel()
        for task in self._background:
            task.cancel()

    def _watch(self) -> None:
        from workstation.core.library.watch import Watch

        self._stack.enter_context(Watch(self.paths.machines, self._fleet.touched))

    def _noticed(self, machine: Machine) -> None:
        if self._watching:
            self._mending.notice(machine)
            self._digesting.notice()  # it may read in a bundle that nobody has verified

    async def digest(self) -> None:
        """New layers want digests: taken in the background, where this front-end stays."""
        await self._digesting.take()

    # -- telling ------------------------------------------------------------

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` in the event loop with every event from now on; returns the undo."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def _publish(self, event: Event) -> None:
        if isinstance(event, Logged):
            self.log.append(event)
        if isinstance(event, MachineChanged) and self._watching:
            self._notice(event.view.name)
        for callback in tuple(self._subscribers):
            callback(event)

    def _notice(self, name: str) -> None:
        if machine := self._fleet.get(name):
            self._mending.notice(machine)
            self._first_boots.notice(machine)

    # -- looking ------------------------------------------------------------

    @property
    def machines(self) -> Mapping[str, MachineView]:
        """By name, sorted. Replaced views arrive as MachineChanged."""
        return {machine.name: machine.view for machine in self._fleet}

    def view(self, name: str) -> MachineView:
        """The newest knowledge of one machine; raises NotFoundError."""
        return self._fleet.find(name).view

    async def settled(self, name: str) -> None:
        """Wait until a live machine's QEMU has been asked for its state, or cannot be."""
        await self._fleet.find(name).settled()

    @property
    def activities(self) -> Mapping[int, Activity]:
        """The unfinished ones, by id."""
        return self._activities.current

    def samples(self, name: str) -> Sequence[Sample]:
        """The last minutes, oldest first; empty for a machine that is not live."""
        machine = self._fleet.get(name)
        return tuple(machine.samples) if machine else ()

    def focus(self, name: str | None) -> None:
        """Sample this machine's disks too, from now on (one machine at a time)."""
        self._sampling.focus = name

    def serial_tail(self, name: str, *, size: int = 65_536) -> bytes:
        """The end of what the guest printed on its serial line; raw bytes of a guest."""
        return serial.tail(self._fleet.find(name).paths.serial_log, size)

    def session(self, name: str) -> Session:
        """A screen's hold on the machine's serial line."""
        return Session(self._fleet.find(name))

    async def host_facts(self) -> HostFacts:
        return await probe(self.paths, os.environ)

    async def findings(self) -> list[Finding]:
        """What `workstation doctor` says."""
        from workstation.core.host.doctor import findings

        return await findings(self.paths)

    def profiles(self) -> list[ProfileEntry]:
        return list_profiles(self.paths)

    def load_profile(self, name: str) -> Profile:
        """By name or path; raises NotFoundError or InvalidError."""
        return load_profile(find_profile(self.paths, name))

    def machine(self, name: str) -> Machine:
        """The machine under supervision, for the core's own rooms; raises NotFoundError."""
        return self._fleet.find(name)

    def working(self, title: str, *, unit: str = "", cancellable: bool = True) -> Working:
        """Show the block as an activity."""
        return self._activities.running(title, unit=unit, cancellable=cancellable)

    # -- acting -------------------------------------------------------------

    async def create(self, name: str, profile: Profile, *, based_on: str = "") -> MachineView:
        """Make a machine; it is there whole when this returns, or not at all."""
        library.check_new_name(self.paths, name)
        with self._activities.running(f"create {name}"):
            facts = await self.host_facts()
            await create_machine(self.paths, facts, name, profile, based_on=based_on)
        return self._fleet.find(name).view

    async def start(self, name: str, *, force: bool = False, cold: bool = False) -> None:
        """Returns when QEMU answers; raises OvercommitError unless forced, LaunchError.

        A frozen machine goes on where it was; `cold` boots its disks of that moment instead.
        """
        machine = self._fleet.find(name)
        facts = await self.host_facts()
        await self._admit(machine, force=force)
        profile = machine.definition.profile if machine.definition else None
        choice = self.accelerator(profile, facts)
        with self._activities.running(f"start {name}", cancellable=False):
            await verbs.start(self.paths, machine, facts, choice, self.front_end, cold=cold)
        self._tell_ports(machine)
        await self.guests.reached()

    async def _admit(self, machine: Machine, *, force: bool) -> None:
        """Raise OvercommitError where the host lacks the memory, unless forced."""
        if machine.definition and not force:
            profile = machine.definition.profile
            await asyncio.to_thread(admission.check, self.paths, machine.name, profile)

    def accelerator(self, profile: Profile | None, facts: HostFacts) -> Choice:
        """What a machine with that profile would get here, and why."""
        wanted = profile.machine.accelerator if profile else None
        if wanted in (None, Accelerator.AUTO):
            wanted = self.settings.accelerator
        return choose_accelerator(wanted or Accelerator.AUTO, facts, os.environ.get(VARIABLE))

    def _tell_ports(self, machine: Machine) -> None:
        """Say where a forward got another host port than it asked for."""
        if not machine.definition:
            return
        asked = [
            rule for network in machine.definition.profile.networks for rule in network.forwards
        ]
        for wanted, got in zip(asked, machine.view.forwards, strict=False):
            if wanted.host != got.host:
                machine.log(f"host port {wanted.host} was taken: {got} instead", Severity.WARNING)

    async def stop(self, name: str) -> None:
        """The ladder: power button, wait, quit, SIGTERM, SIGKILL. Returns when it is off."""
        with self._activities.running(f"stop {name}"):
            await verbs.stop(self._fleet.find(name), self.settings.timeouts, self.front_end)

    async def kill(self, name: str) -> None:
        """At once, without asking the guest."""
        await verbs.kill(self._fleet.find(name), self.settings.timeouts)

    async def pause(self, name: str) -> None:
        await verbs.pause(self._fleet.find(name))

    async def resume(self, name: str) -> None:
        await verbs.resume(self._fleet.find(name), self.layers.store)

    async def reset(self, name: str) -> None:
        """The reset button: the guest starts over without asking."""
        await verbs.reset(self._fleet.find(name))

    async def network(self, name: str, *, up: bool) -> None:
        """Plug a running guest's network in, or pull it out."""
        await verbs.network(self._fleet.find(name), up=up)

    async def delete(self, name: str) -> None:
        """Remove the machine, its disks included, and the layers that only it stood on."""
        await verbs.delete(self.paths, self._fleet.find(name), self.front_end)
        self._fleet.forget(name)
        await asyncio.to_thread(collect_quietly, self.paths, self.layers.store)

    async def demo(self) -> str:
        """Make the demo where it is missing (its image too), start it, wait until it is ready.

        Returns the machine's name. Publishes Activity events as it goes.
        """
        with self._activities.running("demo") as progress:
            return await run_demo(self, progress)

    @cached_property
    def carry(self) -> "Carry":
        """Machines in one file: export, import, inspect, trust."""
        from workstation.core.bundle.verbs import Carry

        return Carry(self)

    @cached_property
    def inplace(self) -> "InPlace":
        """Bundles used where they lie: open, settle in."""
        from workstation.core.inplace.verbs import InPlace

        return InPlace(self)

    @property
    def images(self) -> Images:
        return Images(self.paths)

    async def wait_ready(
        self,
        name: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        since: int = 0,
    ) -> None:
        """Wait for the profile's `ready` text on the serial line, and the end of a new machine's
        set-up; raises WaitTimeoutError. Without `timeout` it waits as long as that takes commonly.

        Only what comes after the first `since` bytes of the log counts.
        """
        await wait.ready_for_work(self._fleet.find(name), timeout, since, self.front_end)

    async def wait_text(
        self,
        name: str,
        text: str,
        *,
        timeout: float = 120.0,  # noqa: ASYNC109
        since: int = 0,
    ) -> None:
        """Wait until the guest has printed that on its serial line since it was started."""
        await ready.printed(self._fleet.find(name), text, timeout=timeout, since=since)

    async def errands_done(self) -> None:
        """Wait for what goes on beside a machine: after a resume its guest's clock is set."""
        for machine in self._fleet:
            await machine.errands_done()

    def cancel(self, activity: int) -> None:
        """Cancel a piece of work that is going on."""
        self._activities.cancel(activity)

    async def keep_theme(self, theme: str) -> None:
        """Remember the colours that the person has chosen."""
        await asyncio.to_thread(save_theme, self.paths, theme)
        self.settings = self.settings.model_copy(update={"theme": theme})

    # -- editing ------------------------------------------------------------

    def definition_text(self, name: str) -> str:
        """The machine's YAML as it stands."""
        return self._fleet.find(name).paths.file.read_text(errors="replace")

    async def save_definition(self, name: str, text: str) -> None:
        """Check and save it; raises InvalidError, and then nothing has changed."""
        machine = self._fleet.find(name)
        new = parse_definition(text, str(machine.paths.file))
        old = machine.definition
        if old and new.uuid != old.uuid:
            raise InvalidError("the uuid is the machine's identity: it stays as it is")
        if old:
            check_drives(old.profile, new.profile)
        await machine.undisturbed()
        with verbs.holding(machine, Verb.EDIT, self.front_end):
            from workstation.core import atomic

            await asyncio.to_thread(atomic.write, machine.paths.file, text)
            if old and not machine.pair():
                facts, known = await self.host_facts(), len(old.profile.drives)
                await fit(machine.paths, self.layers.store, facts, new.profile, known)

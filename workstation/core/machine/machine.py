"""One machine under supervision: its files and its QEMU, watched, turned into a view."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from workstation.core.inplace import links
from workstation.core.machine import run
from workstation.core.machine.condition import IO_ERROR, condition, live_pair
from workstation.core.machine.lock import MachineLock, left_behind
from workstation.errors import WorkstationError
from workstation.model.events import Event, Logged, MachineChanged, Severity
from workstation.model.guest import GuestFacts
from workstation.model.machine import Definition, Holder, MachineView, Sample, State
from workstation.model.profile import Forward
from workstation.model.text import safe_line
from workstation.paths import MachinePaths
from workstation.profile.load import load_definition
from workstation.qemu.monitor import Event as QemuEvent
from workstation.qemu.monitor import Monitor
from workstation.qemu.process import pair_ended
from workstation.qemu.procfs import Pair

SAMPLES_KEPT = 120

RETRY_SECONDS = 2.0
"""Between two looks for what nobody tells."""

_PATIENCE = 500
"""Hundredths of a second that a start may take to write down who QEMU is."""

_STATE_EVENTS = frozenset(
    {"STOP", "RESUME", "SHUTDOWN", "RESET", "GUEST_PANICKED", "SUSPEND", "WAKEUP", "WATCHDOG"}
)


class Machine:
    """A machine as this front-end knows it; `view` is always the newest knowledge.

    `supervise` runs as long as the front-end does: it adopts QEMU when it runs, follows it, and
    sees it end. `poke` makes it look again; pokes that come while it looks are one.
    """

    def __init__(
        self,
        paths: MachinePaths,
        publish: Callable[[Event], None],
        plug_in_again: Callable[[str], None] = lambda network: None,
    ) -> None:
        self.paths = paths
        self.definition: Definition | None = None
        self.monitor: Monitor | None = None
        self.guest: GuestFacts | None = None
        """What the guest says of itself, where it was asked."""
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        self.begun_here = False
        """Whether this front-end is just starting it, and has made its sockets itself."""
        self._publish = publish
        self._plug_in_again = plug_in_again
        self._problem = ""
        self._trouble = ""
        self._file_stamp: tuple[int, int] | None = None
        self._links: tuple[tuple[int, int], str] = ((0, 0), "")
        self._status = ""
        self._errands: set[asyncio.Task[None]] = set()
        self._poked = asyncio.Event()
        self._undisturbed = asyncio.Event()
        self._undisturbed.set()
        self._moved = asyncio.Event()
        self._read_definition()
        self.view = self._observe()
        publish(MachineChanged(self.view))

    @property
    def name(self) -> str:
        return self.paths.name

    # -- looking ------------------------------------------------------------

    def look(self) -> None:
        """Read the files again, and publish the view if it is another."""
        if not self.paths.data.exists():
            return
        self._read_definition()
        before, self.view = self.view, self._observe()
        if self.view != before:
            self._publish(MachineChanged(self.view))
            self._log_change(before, self.view)
        if self.view.pid != before.pid:
            self.poke()  # whoever found that QEMU, the supervision takes it up
        self._stir()

    def _stir(self) -> None:
        """Whoever waits looks whether that has come."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def poke(self) -> None:
        self._poked.set()

    def _read_definition(self) -> None:
        try:
            stat = self.paths.file.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp == self._file_stamp:
                return
            self.definition = load_definition(self.paths.file)
            self._file_stamp = stamp
            self._problem = ""
        except OSError as error:
            self._problem = f"{self.paths.file} cannot be read: {error.strerror}"
        except WorkstationError as error:
            self._file_stamp = stamp
            self._problem = error.details or str(error)

    def pair(self) -> Pair | None:
        """The processes of the machine, where QEMU runs."""
        return live_pair(self.paths)

    def _observe(self) -> MachineView:
        now = condition(self.paths, status=self._status, trouble=self._trouble)
        definition = self.definition
        return MachineView(
            name=self.name,
            state=State(now.state),
            profile=definition.profile if definition else None,
            uuid=str(definition.uuid) if definition else "",
            based_on=definition.based_on if definition else "",
            reason=now.reason,
            since=now.since,
            problem=self._problem,
            holder=Holder.of(now.holder) if now.holder else None,
            pid=now.pair.qemu.pid if now.pair else None,
            accelerator=now.record.accelerator if now.record else "",
            forwards=_forwards(now.record) if now.record else (),
            panicked=self._status == "guest-panicked",
            history=_stamp(self.paths.history),
            reads=self._read_links(),
            alarm=links.alarm(self.paths),
            guest=self.guest,
            unfinished=self.paths.seed.exists(),
        )

    def _read_links(self) -> str:
        """Which bundles it reads, looked at again only after a change."""
        stamp = (links.stamp(self.paths), _stamp(self.paths.history))
        if stamp != self._links[0]:
            self._links = (stamp, links.reads(self.paths) if stamp[0] else "")
        return self._links[1]

    def _log_change(self, before: MachineView, view: MachineView) -> None:
        if view.alarm and view.alarm != before.alarm:
            self.log(view.alarm, Severity.ERROR)
        if view.problem and view.problem != before.problem:
            self.log(f"its file has problems: {view.problem}", Severity.ERROR)
        if view.state is before.state and view.reason == before.reason:
            return
        bad = view.state is State.CRASHED or view.panicked
        words = f"{view.state}: {view.reason}" if view.reason else str(view.state)
        self.log(words, Severity.ERROR if bad else Severity.INFO)

    def log(self, text: str, severity: Severity = Severity.INFO) -> None:
        self._publish(Logged(time.time(), self.name, safe_line(text), severity))

    async def until(self, reached: Callable[[MachineView], bool]) -> MachineView:
        """Return the first view for which `reached` holds; asked again whenever anything moved."""
        while not reached(self.view):
            await self._moved.wait()
        return self.view

    @contextmanager
    def unasked(self, verb: str, front_end: str) -> Iterator[None]:
        """The machine's lock for what nobody has asked for; raises BusyError."""
        with MachineLock(self.paths, verb, front_end):
            self._undisturbed.clear()
            try:
                yield
            finally:
                self._undisturbed.set()

    async def undisturbed(self) -> None:
        """Wait while this very front-end does such work, or a start goes on by itself whose
        front-end was killed: a verb is not refused for that."""
        await self._undisturbed.wait()
        for _ in range(_PATIENCE):
            if not left_behind(self.paths):
                return
            await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Wait until a live QEMU has said its state, or could not be asked."""
        await self.until(lambda view: bool(self._status or self._trouble) or not view.pid)

    async def asked(self) -> None:
        """At the return the view says what QEMU says of its state now."""
        if self.monitor:
            await self._ask_status(self.monitor)
            self.look()

    @property
    def cannot_read(self) -> bool:
        """Whether the guest stands still because a disk could not be read or written."""
        return self._status == IO_ERROR

    # -- errands ------------------------------------------------------------

    def errand(self, work: Coroutine[Any, Any, None]) -> None:
        """Do that beside the supervision; it is cancelled when QEMU has ended, or is let go."""
        task = asyncio.create_task(work, name=f"errand {self.name}")
        self._errands.add(task)
        task.add_done_callback(self._errand_done)

    def _errand_done(self, task: asyncio.Task[None]) -> None:
        self._errands.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.log(f"{task.get_name()} failed: {error!r}", Severity.ERROR)

    async def errands_done(self) -> None:
        """Wait for what goes on beside the supervision."""
        if self._errands:
            await asyncio.wait(set(self._errands))

    # -- supervision --------------------------------------------------------

    async def supervise(self) -> None:
        """Adopt QEMU whenever it runs; never returns. Failures become the machine's reason."""
        while True:
            self._poked.clear()
            self.look()
            pair, record = self.pair(), run.read(self.paths)
            if pair and record:
                await self._attend(pair, UUID(record.uuid))
            else:
                await self._wait_for_news()

    async def _attend(self, pair: Pair, uuid: UUID) -> None:
        """Follow QEMU until it has ended."""
        follower = asyncio.create_task(self._follow(uuid), name=f"follow {self.name}")
        try:
            await pair_ended(pair)
        finally:
            await _to_the_end(self._let_go(follower))
            self._status = self._trouble = ""
            self.guest = None
            self.samples.clear()

    async def _follow(self, uuid: UUID) -> None:
        """Keep the view true while QEMU runs."""
        while True:
            self._poked.clear()
            if not self.monitor:
                await self._connect(uuid)
            if self.monitor:
                await self._ask_status(self.monitor)
            self.look()
            await self._wait_for_news()

    async def _wait_for_news(self) -> None:
        """Until poked. Two things nobody tells: that another front-end has let go of its monitor,
        where all are taken, and that a killed holder of the lock is quite gone."""
        told = self.view.holder is None and (self.monitor is not None or self.view.pid is None)
        with suppress(TimeoutError):
            async with asyncio.timeout(None if told else RETRY_SECONDS):
                await self._poked.wait()

    async def _connect(self, uuid: UUID) -> None:
        monitor = Monitor(self.paths, self._on_event)
        try:
            await monitor.connect(None if self.begun_here else uuid)
            self.monitor, self._trouble = monitor, ""
            self._stir()
        except WorkstationError as error:
            self._trouble = str(error)

    async def _ask_status(self, monitor: Monitor) -> None:
        try:
            answer = await monitor.execute("query-status")
            self._status = answer["status"]
        except WorkstationError as error:
            # It is ending, or it hangs: its process, which is watched too, decides.
            self._trouble = str(error)

    async def _let_go(self, follower: asyncio.Task[None]) -> None:
        going_on = {follower, *self._errands}
        for task in going_on:
            task.cancel()
        await asyncio.wait(going_on)
        if self.monitor:
            await self.monitor.disconnect()
            self.monitor = None

    def _on_event(self, event: QemuEvent) -> None:
        kind = event["event"]
        if kind in _STATE_EVENTS:
            self.poke()
        if kind == "POWERDOWN":
            self.log("power button pressed")
        elif kind == "BLOCK_IO_ERROR":
            self.log(f"disk error: {event['data'].get('reason', '')}", Severity.ERROR)
            self.poke()
        elif kind == "NETDEV_STREAM_DISCONNECTED":
            self._unplugged(event["data"].get("netdev-id", ""))

    def _unplugged(self, netdev: str) -> None:
        """A private network's hub was killed, and what starts it again with it."""
        networks = self.definition.profile.networks if self.definition else ()
        for number, network in enumerate(networks):
            if netdev == f"net{number}" and network.mode == "private" and network.name:
                self.errand(asyncio.to_thread(self._plug_in_again, network.name))


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await it whole; a cancellation that comes meanwhile takes effect then."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _stamp(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _forwards(record: run.Record) -> tuple[Forward, ...]:
    return tuple(Forward.model_validate(text) for network in record.forwards for text in network)

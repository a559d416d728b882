"""A screen's hold on a machine's serial line, over all the machine's runs.

It shows what was printed while nobody looked, then what comes; it connects again by itself when
the machine was reverted or started anew, and only reads along where another console has the line.
"""

import asyncio
import contextlib
from enum import StrEnum
from typing import Protocol

from workstation.core.guest import agent
from workstation.core.machine.machine import Machine
from workstation.core.serial import guest_size, line, ready
from workstation.core.serial import log as serial
from workstation.errors import BusyError, MonitorError, WorkstationError
from workstation.model.machine import State
from workstation.qemu.procfs import Pair

REPLAYED = 2**18
"""Bytes of what was printed before that a screen begins with."""

OVERLAP_SECONDS = 0.03
"""How long what comes is gathered before the log is read, so that the log has all that was printed
before, and after it: a guest that prints meanwhile is in both, and the log ends amid what came."""

_GATHERED = 2**20
"""Bytes that are gathered so at most: more than a socket holds."""

RETRY_SECONDS = 0.5
"""Between two looks for what nobody tells: that another console is gone, that QEMU answers."""


class Link(StrEnum):
    OFF = "off"
    """The machine does not run."""
    CONNECTING = "connecting"
    OPEN = "open"
    TAKEN = "taken"
    """Another console has the line: this one only reads along."""
    NONE = "none"
    """It has no serial line."""


class Display(Protocol):
    """Who shows what comes."""

    async def show(self, data: bytes, *, before: bool) -> None:
        """`before` says that it was printed before: questions in it are not to be answered."""

    def begun_anew(self, *, resumed: bool) -> None:
        """Another run of the machine begins: it has booted, or goes on from a snapshot."""

    def changed(self) -> None:
        """`Session.link` is another now."""


class Session:
    """Run `run` in a task as long as the screen is open; `send` what is typed."""

    def __init__(self, machine: Machine) -> None:
        self.link = Link.CONNECTING
        self._machine = machine
        self._line: line.Line | None = None
        self._position: int | None = None
        """How much of what was printed has been shown; None before the first time."""

    def send(self, data: bytes) -> bool:
        """Send it to the guest; False where it cannot be, or waits for too much already."""
        return self._line is not None and self._line.write(data)

    async def tell_size(self, columns: int, rows: int) -> bool:
        """Through the guest's agent; whether the guest knows it now. Where nothing in the guest
        listens, the answer is there at once: what is done instead must not come late."""
        machine = self._machine
        if machine.monitor:
            try:
                await agent.listens(machine.name, machine.monitor, 0)
            except WorkstationError:
                return False
        return await guest_size.tell(self._machine.paths, columns, rows)

    async def run(self, display: Display) -> None:
        """Never returns."""
        last: Pair | None = None
        while True:
            pair = await self._live(display)
            if last is not None and pair != last:
                self._note_run(display)
            last = pair
            try:
                with line.alone(self._machine.paths):
                    await self._attend(display)
            except BusyError:
                self._set(Link.TAKEN, display)
                await self._read_along(display)
            except (MonitorError, OSError):
                await asyncio.sleep(RETRY_SECONDS)

    async def _live(self, display: Display) -> Pair:
        """Wait until it runs."""
        machine = self._machine
        while True:
            if machine.definition and not machine.definition.profile.devices.serial:
                self._set(Link.NONE, display)
            elif pair := machine.pair():
                self._set(Link.CONNECTING, display)
                # What reaches a guest whose memory is only being loaded is lost in that.
                if machine.view.state is not State.STARTING:
                    return pair
            else:
                self._set(Link.OFF, display)
                if self._position is None:
                    await self._catch_up(display)
            await self._next_look()

    async def _next_look(self) -> None:
        seen = self._machine.view
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await self._machine.until(lambda view: view is not seen)

    def _note_run(self, display: Display) -> None:
        resumed = ready.resumed(self._machine)
        if not resumed:
            self._position = 0
        display.begun_anew(resumed=resumed)

    def _set(self, link: Link, display: Display) -> None:
        if link is not self.link:
            self.link = link
            display.changed()

    # -- connected ----------------------------------------------------------

    async def _attend(self, display: Display) -> None:
        """Until the line ends."""
        wire = self._line = await line.connected(self._machine.paths)
        try:
            self._set(Link.OPEN, display)
            first = await self._caught_up(wire, display)
            await display.show(first, before=False)
            while data := await wire.read():
                self._position = (self._position or 0) + len(data)
                await display.show(data, before=False)
        finally:
            self._line = None
            wire.abort()

    async def _caught_up(self, wire: line.Line, display: Display) -> bytes:
        """Show what was printed before; returns what has come since."""
        came = await _gathered(wire)
        missed, position = await self._missed()
        came += await _gathered(wire)
        known = overlap(missed, came)
        await display.show(missed[: len(missed) - known], before=True)
        self._position = position + len(missed) - known + len(came)
        return came

    async def _catch_up(self, display: Display) -> None:
        """Show what was printed and has not been shown."""
        missed, position = await self._missed()
        self._position = position + len(missed)
        await display.show(missed, before=True)

    async def _missed(self) -> tuple[bytes, int]:
        """What the log has that has not been shown, and where in it that begins."""
        log = self._machine.paths.serial_log
        position = self._position
        if position is None:
            end = await asyncio.to_thread(serial.size, log)
            position = max(0, end - REPLAYED)
        missed = await asyncio.to_thread(serial.since, log, position)
        if self._position is None and position:
            # What is left of the line, or the sequence, in which a cut tail begins.
            cut = missed.find(b"\n") + 1
            missed, position = missed[cut:], position + cut
        return missed, position

    async def _read_along(self, display: Display) -> None:
        """From the log, until the other console lets go of the line, or the machine ends."""
        paths = self._machine.paths
        while self._machine.pair():
            await self._catch_up(display)
            await asyncio.sleep(RETRY_SECONDS / 5)
            with contextlib.suppress(BusyError, OSError), line.alone(paths):
                return


async def _gathered(wire: line.Line) -> bytes:
    """What comes in a moment."""
    data = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(OVERLAP_SECONDS):
            while len(data) < _GATHERED and (piece := await wire.read()):
                data += piece
    return data


_HEAD = 32


def overlap(before: bytes, after: bytes) -> int:
    """How many bytes at the end of `before` are the beginning of `after`, too: the most."""
    most = min(len(before), len(after))
    head = after[:_HEAD]
    at = before.find(head, len(before) - most) if most >= len(head) else -1
    while at >= 0:
        if after.startswith(before[at:]):
            return len(before) - at
        at = before.find(head, at + 1)
    return next((n for n in range(min(most, _HEAD), 0, -1) if before.endswith(after[:n])), 0)

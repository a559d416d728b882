"""A machine's serial line in this very terminal, raw, as `virsh console` has it."""

import asyncio
import contextlib
import os
import signal
import termios
import tty
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from workstation.core.serial import line
from workstation.core.serial.escapes import Filter
from workstation.core.serial.leave_key import Leaving
from workstation.errors import HostError, NotAllowedError
from workstation.model.machine import Verb, require

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation

REPLAYED = 16_384
"""How many bytes of what the guest printed before are shown first."""


async def attach(station: "Workstation", name: str, *, descriptor: int = 0, out: int = 1) -> str:
    """Work in the machine's serial console until the settings' `leave_key` or its end; returns why
    it was left.

    Raises NotAllowedError where it does not run or has no serial line, BusyError where another
    console is open on it, HostError where `descriptor` is no terminal, MonitorError where QEMU
    does not answer.
    """
    view = station.view(name)
    require(Verb.CONSOLE, name, view.state)
    if view.profile and not view.profile.devices.serial:
        raise NotAllowedError(
            f"“{name}” has no serial line", hint="set devices.serial to true, and start it anew"
        )
    if not os.isatty(descriptor):
        raise HostError("a console needs a terminal", hint=f"read it: workstation logs {name}")
    paths = station.paths.machine(name)
    with line.alone(paths), _raw(descriptor), _terminal(out) as screen:
        wire = await line.connected(paths)
        leaving = Leaving(station.settings.leave_key)
        try:
            await screen.show(_whole_lines(station.serial_tail(name, size=REPLAYED)))
            return await _relay(wire, descriptor, screen, leaving)
        finally:
            wire.close()


@contextlib.contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        # Not after its output: a terminal that reads no more must not keep the person here.
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSANOW, before)


def _whole_lines(tail: bytes) -> bytes:
    """Without what is left of the line, or the sequence, in which a cut tail begins."""
    return tail.partition(b"\n")[2] if len(tail) == REPLAYED else tail


class _Screen:
    """The terminal, written to without ever waiting in a system call."""

    def __init__(self, out: int) -> None:
        self._out = out
        self._filter = Filter()

    async def show(self, data: bytes) -> None:
        """Show what a guest printed, as fast as the terminal takes it."""
        rest = memoryview(self._filter.feed(data))
        while rest:
            try:
                rest = rest[os.write(self._out, rest) :]
            except BlockingIOError:
                await _writable(self._out)

    def leave(self) -> None:
        """Give the terminal back as it was, where it takes that much."""
        with contextlib.suppress(OSError):
            os.write(self._out, self._filter.undo())


@contextlib.contextmanager
def _terminal(out: int) -> Iterator[_Screen]:
    """The same terminal, opened anew: a mode of this descriptor is nobody else's."""
    own = out
    if os.isatty(out):
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            own = os.open(f"/proc/self/fd/{out}", flags)
    screen = _Screen(own)
    try:
        yield screen
    finally:
        screen.leave()
        if own != out:
            os.close(own)


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(descriptor, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


async def _relay(wire: line.Line, descriptor: int, screen: _Screen, leaving: Leaving) -> str:
    """Until the person leaves, the terminal goes away, or the guest's line ends."""
    left = asyncio.Event()

    def typed() -> None:
        data = _typed(descriptor)
        before, leaves = leaving.before(data)
        wire.write(before)
        if leaves or not data:
            left.set()

    async def show() -> None:
        try:
            while data := await wire.read():
                await screen.show(data)
        except ConnectionError:
            return
        except OSError:
            # The terminal went away.
            left.set()

    with _heard(descriptor, typed, left):
        tasks = {asyncio.create_task(show()), asyncio.create_task(left.wait())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    for task in done:
        task.result()
    return "left" if left.is_set() else "the machine ended"


def _typed(descriptor: int) -> bytes:
    """What was typed; nothing where the terminal is gone."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


@contextlib.contextmanager
def _heard(descriptor: int, typed: Callable[[], None], left: asyncio.Event) -> Iterator[None]:
    """Call `typed` for the keyboard; a signal to end leaves too, and so puts the terminal back."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGHUP)
    loop.add_reader(descriptor, typed)
    for number in signals:
        loop.add_signal_handler(number, left.set)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        for number in signals:
            loop.remove_signal_handler(number)

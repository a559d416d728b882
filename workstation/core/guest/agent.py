"""The guest's own agent (qemu-guest-agent), asked over its channel and trusted with nothing.

The protocol is QEMU's docs/interop/qemu-ga-ref: a line of JSON each way. The channel keeps what
an earlier client left unread, so every conversation begins with `guest-sync-delimited`: whatever
comes before our own number is thrown away.
"""

import asyncio
import fcntl
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from workstation.core.machine.machine import Machine
from workstation.errors import (
    BusyError,
    MonitorError,
    NotAllowedError,
    RefusedError,
    WaitTimeoutError,
    WorkstationError,
)
from workstation.model.events import Severity
from workstation.model.text import safe_line
from workstation.paths import MachinePaths
from workstation.qemu.monitor import Monitor

ANSWER_SECONDS = 2.0
"""How long the agent may take to answer a call."""

OPEN_SECONDS = 0.5
"""How long after a resume QEMU may take to know that the guest has the channel open: its device
says so in a timer of the guest's clock (hw/char/virtio-serial-bus.c, post_load)."""

ASKED_SECONDS = 10.0
"""The same where somebody has asked for it, and something in the guest is known to listen: a guest
without KVM on a busy computer is slow."""

PATIENCE_SECONDS = 5.0
"""How long another front-end's conversation is waited for, where that is worth it."""

NO_AGENT = "install qemu-guest-agent in the guest, and start it"

LONGEST_LINE = 64 * 1024
"""Bytes: what is longer is no answer to anything that is asked here."""

_SYNC = "guest-sync-delimited"

_DELIMITER = b"\xff"
"""Stands before the call `guest-sync-delimited` and before its answer; never within JSON."""


class Agent:
    """A conversation with a guest's agent: one call at a time.

    After a call that was not answered in time it is over: a late answer would be taken for that
    of the next call.
    """

    def __init__(
        self,
        name: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        seconds: float,
    ) -> None:
        self.name = name
        self.seconds = seconds
        """How long each call may take."""
        self._reader = reader
        self._writer = writer
        self._over = False

    async def synchronize(self) -> None:
        """Throw away what others left unread; raises WaitTimeoutError where no agent answers."""
        number = secrets.randbelow(2**31)
        await self._call(_SYNC, {"id": number}, lambda said: said == number)

    async def execute(self, command: str, **arguments: object) -> Any:
        """What the command returns; raises WaitTimeoutError, or RefusedError."""
        return await self._call(command, arguments, lambda _: True)

    async def _call(
        self, command: str, arguments: dict[str, object], meant: Callable[[Any], bool]
    ) -> Any:
        if self._over:
            raise WaitTimeoutError(f"the agent of “{self.name}” has not answered an earlier call")
        words = json.dumps({"execute": command, "arguments": arguments})
        self._over = True
        try:
            async with asyncio.timeout(self.seconds):
                # It makes the agent drop half a call that an earlier client has left; before any
                # other call it would be refused as one that is no JSON.
                begin = _DELIMITER if command == _SYNC else b""
                self._writer.write(begin + words.encode() + b"\n")
                await self._writer.drain()
                while True:
                    answer = _parsed(await self._line())
                    if "error" in answer and command != _SYNC:
                        self._over = False
                        raise _refusal(self.name, command, _reason(answer))
                    if "return" in answer and meant(answer["return"]):
                        self._over = False
                        return answer["return"]
        except TimeoutError as error:
            raise WaitTimeoutError(
                f"no guest agent answers in “{self.name}”", hint=NO_AGENT
            ) from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise MonitorError(f"the channel to the agent of “{self.name}” broke") from error

    async def _line(self) -> bytes:
        """The next line; of one that is too long, its end."""
        while True:
            try:
                return await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                await self._reader.readexactly(error.consumed)


def _parsed(line: bytes) -> dict[str, Any]:
    """An answer; empty for what is none."""
    try:
        said = json.loads(line.rpartition(_DELIMITER)[2])
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _reason(answer: dict[str, Any]) -> str:
    error = answer["error"]
    return safe_line(str(error.get("desc", error) if isinstance(error, dict) else error), limit=200)


def _refusal(name: str, command: str, reason: str) -> RefusedError:
    hint = ""
    if "disabled" in reason:  # Fedora's and Red Hat's come with some that are
        hint = (
            "allow it in the guest's /etc/sysconfig/qemu-ga, and restart qemu-guest-agent there;"
            f" until then: workstation ssh {name}"
        )
    return RefusedError(f"the agent refuses {command}", reason=reason, hint=hint)


@asynccontextmanager
async def talking(
    paths: MachinePaths,
    *,
    patience: float = 0.0,
    seconds: float | None = None,
    longest: int = LONGEST_LINE,
) -> AsyncIterator[Agent]:
    """A conversation with the agent in that machine; a line has `longest` bytes at most.

    Each call may take `seconds` (ANSWER_SECONDS).

    Raises BusyError where another front-end has one and has not ended it after `patience`
    seconds, WaitTimeoutError where nobody answers.
    """
    async with _alone(paths, patience):
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(paths.agent), limit=longest)
        except (OSError, TimeoutError) as error:
            raise _no_channel(paths) from error
        try:
            agent = Agent(paths.name, reader, writer, seconds or ANSWER_SECONDS)
            await agent.synchronize()
            yield agent
        finally:
            # Aborted, not closed: what an agent that reads nothing has not taken is not waited for.
            writer.transport.abort()


def _no_channel(paths: MachinePaths) -> WaitTimeoutError:
    return WaitTimeoutError(
        f"“{paths.name}” has no channel for an agent",
        hint="it must run, with devices.agent: true",
    )


@asynccontextmanager
async def _alone(paths: MachinePaths, patience: float) -> AsyncIterator[None]:
    """QEMU serves one client at a time: who holds the lock beside the socket is that one."""
    try:
        held = os.open(paths.agent_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _no_channel(paths) from error
    try:
        await _locked(held, paths.name, patience)
        yield
    finally:
        os.close(held)


async def _locked(descriptor: int, name: str, patience: float) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= end:
                raise BusyError(
                    f"another front-end talks with the agent of “{name}”", hint="try again"
                ) from error
        await asyncio.sleep(0.02)


@asynccontextmanager
async def asking(machine: Machine, *, longest: int = LONGEST_LINE) -> AsyncIterator[Agent]:
    """The same with the agent of a machine that runs; at once an error where none listens."""
    if not machine.pair():
        raise NotAllowedError(
            f"“{machine.name}” is {machine.view.state}: only a running guest can be asked",
            hint=f"workstation start {machine.name}",
        )
    await machine.settled()
    if machine.monitor is None:
        raise WaitTimeoutError(f"“{machine.name}” cannot be asked: {machine.view.reason}")
    await listens(machine.name, machine.monitor, 0)
    async with talking(
        machine.paths, patience=PATIENCE_SECONDS, seconds=ASKED_SECONDS, longest=longest
    ) as agent:
        yield agent


async def set_clock(machine: Machine, monitor: Monitor) -> None:
    """After a resume: the guest's clock shows now, or it is said that it does not."""
    try:
        await listens(machine.name, monitor, OPEN_SECONDS)
        # It answers when the hardware clock is written too, by a program of its own.
        async with talking(machine.paths, patience=ANSWER_SECONDS, seconds=ASKED_SECONDS) as agent:
            await agent.execute("guest-set-time", time=time.time_ns())
    except WaitTimeoutError:
        machine.log(
            "no guest agent answers: the guest's clock shows the moment it was frozen",
            Severity.WARNING,
        )
    except WorkstationError as error:
        machine.log(f"the guest's clock was not set: {error}", Severity.WARNING)
    else:
        machine.log("the guest's clock was set")


async def listens(name: str, monitor: Monitor, seconds: float) -> None:
    """Raise WaitTimeoutError where nothing in the guest has its end of the channel open."""
    end = time.monotonic() + seconds
    while True:
        channels = {one["label"]: one for one in await monitor.execute("query-chardev")}
        if "agent" in channels and channels["agent"]["frontend-open"]:
            return
        if "agent" not in channels or time.monotonic() >= end:
            raise WaitTimeoutError(
                f"nothing in “{name}” listens on the agent's channel", hint=NO_AGENT
            )
        await asyncio.sleep(0.02)

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
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from workstation.core.machine import Machine
from workstation.errors import BusyError, MonitorError, WaitTimeoutError, WorkstationError
from workstation.model.events import Severity
from workstation.model.text import safe_line
from workstation.paths import MachinePaths
from workstation.qemu.monitor import Monitor

ANSWER_SECONDS = 2.0
"""How long the agent may take to answer a call."""

OPEN_SECONDS = 0.5
"""How long after a resume QEMU may take to know that the guest has the channel open: its device
says so in a timer of the guest's clock (hw/char/virtio-serial-bus.c, post_load)."""

LONGEST_LINE = 64 * 1024
"""Bytes: what is longer is no answer to anything that is asked here."""

_SYNC = "guest-sync-delimited"

_DELIMITER = b"\xff"
"""Stands before a call and before the answer to `guest-sync-delimited`; never within JSON."""


class Agent:
    """A conversation with a guest's agent: one call at a time."""

    def __init__(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.name = name
        self._reader = reader
        self._writer = writer

    async def synchronize(self) -> None:
        """Throw away what others left unread; raises WaitTimeoutError where no agent answers."""
        number = secrets.randbelow(2**31)
        await self._call(_SYNC, {"id": number}, lambda said: said == number)

    async def execute(self, command: str, **arguments: object) -> Any:
        """What the command returns; raises WaitTimeoutError, or MonitorError with its refusal."""
        return await self._call(command, arguments, lambda _: True)

    async def _call(
        self, command: str, arguments: dict[str, object], meant: Callable[[Any], bool]
    ) -> Any:
        words = json.dumps({"execute": command, "arguments": arguments})
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._writer.write(_DELIMITER + words.encode() + b"\n")
                await self._writer.drain()
                while True:
                    answer = _parsed(await self._line())
                    if "error" in answer and command != _SYNC:
                        raise MonitorError(f"the agent refuses {command}: {_reason(answer)}")
                    if "return" in answer and meant(answer["return"]):
                        return answer["return"]
        except TimeoutError as error:
            raise WaitTimeoutError(f"no guest agent answers in “{self.name}”") from error
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


@asynccontextmanager
async def talking(paths: MachinePaths) -> AsyncIterator[Agent]:
    """A conversation with the agent in that machine.

    Raises BusyError where another front-end has one, WaitTimeoutError where nobody answers.
    """
    with _alone(paths):
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(
                    str(paths.agent), limit=LONGEST_LINE
                )
        except (OSError, TimeoutError) as error:
            raise WaitTimeoutError(f"“{paths.name}” has no channel for an agent") from error
        try:
            agent = Agent(paths.name, reader, writer)
            await agent.synchronize()
            yield agent
        finally:
            # Aborted, not closed: what an agent that reads nothing has not taken is not waited for.
            writer.transport.abort()


@contextmanager
def _alone(paths: MachinePaths) -> Iterator[None]:
    """QEMU serves one client at a time: who holds the lock beside the socket is that one."""
    try:
        held = os.open(paths.agent_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise WaitTimeoutError(f"“{paths.name}” has no channel for an agent") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BusyError(f"another front-end talks with the agent of “{paths.name}”") from error
    finally:
        os.close(held)


async def set_clock(machine: Machine, monitor: Monitor) -> None:
    """After a resume: the guest's clock shows now, or it is said that it does not."""
    try:
        await _listens(machine.name, monitor)
        async with talking(machine.paths) as agent:
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


async def _listens(name: str, monitor: Monitor) -> None:
    """Raise WaitTimeoutError where nothing in the guest has its end of the channel open."""
    end = time.monotonic() + OPEN_SECONDS
    while True:
        channels = {one["label"]: one for one in await monitor.execute("query-chardev")}
        if "agent" in channels and channels["agent"]["frontend-open"]:
            return
        if "agent" not in channels or time.monotonic() > end:
            raise WaitTimeoutError(f"nothing in “{name}” listens on the agent's channel")
        await asyncio.sleep(0.02)

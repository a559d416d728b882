"""A command in the guest, run by its agent.

The agent keeps what the command prints until it has ended, 16 MB of each stream at most, and hands
it over in one line. Between two looks the channel is free for others.
"""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from workstation.core.guest.agent import Agent, asking
from workstation.core.machine.machine import Machine
from workstation.errors import (
    CannotRunError,
    MonitorError,
    RefusedError,
    UsageError,
    WaitTimeoutError,
    WorkstationError,
)
from workstation.model.guest import Ran
from workstation.model.text import safe_line

MOST_PRINTED = 16 * 2**20
"""Bytes of the line that has all that it printed: 12 MB of it, at most."""

MOST_INPUT = 32 * 1024
"""Bytes that a command can be given to read: the call is one line that the agent must take."""

MOST_WORDS = 24 * 1024

_FIRST_LOOK, _SLOWEST_LOOK = 0.02, 0.5


async def run(
    machine: Machine,
    words: Sequence[str],
    *,
    given: bytes = b"",
    timeout: float | None = None,  # noqa: ASYNC109
) -> Ran:
    """Run a program of the guest with those arguments, and wait for its end.

    Raises WaitTimeoutError after `timeout` seconds; then, and when cancelled, it is ended there.
    CannotRunError where the guest has no such program.
    """
    _check(words, given)
    asked: dict[str, object] = {"path": words[0], "arg": list(words[1:]), "capture-output": True}
    if given:
        asked["input-data"] = base64.b64encode(given).decode()
    async with asking(machine) as agent:
        try:
            started = await agent.execute("guest-exec", **asked)
        except RefusedError as error:
            if error.hint:
                raise
            raise _cannot_run(machine.name, words, error.reason) from error
    pid = started.get("pid") if isinstance(started, dict) else None
    if not isinstance(pid, int) or isinstance(pid, bool):
        raise MonitorError(f"the agent of “{machine.name}” says nothing of what it started")
    try:
        async with asyncio.timeout(timeout):
            return await _ended(machine, pid)
    except TimeoutError as error:
        await _end(machine, pid)
        raise WaitTimeoutError(
            f"“{safe_line(words[0], limit=80)}” in “{machine.name}” has not ended after"
            f" {timeout:.0f} s",
            hint="it was ended in the guest; --timeout SECONDS gives it longer",
        ) from error
    except asyncio.CancelledError:
        await _end(machine, pid)
        raise


def _cannot_run(name: str, words: Sequence[str], reason: str) -> CannotRunError:
    return CannotRunError(
        f"“{safe_line(words[0], limit=80)}” is not run in “{name}”: {reason}",
        hint="no shell reads the words; to have one: workstation exec NAME -- sh -c 'LINE'",
    )


def _check(words: Sequence[str], given: bytes) -> None:
    if not words or not words[0]:
        raise UsageError("a command is missing", hint="workstation exec NAME -- COMMAND ARGUMENT…")
    if len(given) > MOST_INPUT or sum(map(len, words)) > MOST_WORDS:
        raise UsageError(
            "that is too much for a command's input or arguments",
            hint="copy it into the guest as a file first: workstation cp FILE NAME:PATH",
        )


async def _ended(machine: Machine, pid: int) -> Ran:
    pause = _FIRST_LOOK
    while True:
        async with asking(machine, longest=MOST_PRINTED) as agent:
            said = await _status(agent, pid)
        if said.get("exited") is True:
            return _ran(said)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _SLOWEST_LOOK)


async def _status(agent: Agent, pid: int) -> dict[str, Any]:
    agent.seconds = 20.0  # 12 MB through an emulated port take their time
    try:
        said = await agent.execute("guest-exec-status", pid=pid)
    except WaitTimeoutError as error:
        raise WaitTimeoutError(
            str(error),
            hint="the agent is gone, or the command printed more than 12 MB: let it print into a"
            " file, and copy that: workstation cp NAME:PATH FILE",
        ) from error
    return said if isinstance(said, dict) else {}


def _ran(said: dict[str, Any]) -> Ran:
    code, signal = said.get("exitcode"), said.get("signal")
    return Ran(
        code=_small(code) if code is not None else 128 + _small(signal),
        out=_bytes(said.get("out-data")),
        err=_bytes(said.get("err-data")),
        cut=bool(said.get("out-truncated") or said.get("err-truncated")),
    )


def _small(value: object) -> int:
    """An exit code; what is none counts as a failure."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value & 0xFF if whole and isinstance(value, int) else 1


def _bytes(value: object) -> bytes:
    with suppress(binascii.Error, ValueError):
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    return b""


async def _end(machine: Machine, pid: int) -> None:
    with suppress(WorkstationError):
        async with asking(machine) as agent:
            await agent.execute("guest-exec", path="kill", arg=["-KILL", str(pid)])

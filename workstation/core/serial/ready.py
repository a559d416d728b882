"""When a guest is ready to be worked with: told by what it prints on its serial line."""

import asyncio

from workstation.core.machine import run
from workstation.core.machine.machine import Machine
from workstation.core.serial import log as serial
from workstation.errors import LaunchError, WaitTimeoutError
from workstation.model.text import safe_line


def resumed(machine: Machine) -> bool:
    """Whether its QEMU went on from a memory: such a guest is ready, and prints nothing."""
    record = run.read(machine.paths)
    return bool(record and machine.pair() and "-incoming" in record.argv)


async def printed(
    machine: Machine,
    text: str,
    *,
    timeout: float,  # noqa: ASYNC109
    since: int,
) -> None:
    """Wait until the text comes after the first `since` bytes of the serial log.

    Raises LaunchError where the machine ends before it, WaitTimeoutError after `timeout` seconds.
    """
    log = machine.paths.serial_log
    told = asyncio.ensure_future(serial.printed(log, text.encode(), since))
    ended = asyncio.ensure_future(machine.until(lambda view: not view.state.live))
    try:
        await asyncio.wait((told, ended), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if told.done():
            return
        if ended.done():
            raise LaunchError(
                f"“{machine.name}” ended before it was ready: {machine.view.reason or 'it is off'}",
                hint=f"workstation logs {machine.name}",
            )
        raise WaitTimeoutError(
            f"“{machine.name}” has not printed “{safe_line(text)}” after {timeout:.0f} s",
            hint=f"look at it: workstation console {machine.name}",
        )
    finally:
        told.cancel()
        ended.cancel()

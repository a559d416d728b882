"""Ports of the guest as they are reached from this computer, through the user network."""

import asyncio
import re
import socket
from collections.abc import Iterable
from contextlib import suppress

from workstation.core.machine.machine import Machine
from workstation.errors import NotAllowedError
from workstation.model.profile import Forward
from workstation.qemu.monitor import Monitor

SSH = 22

CONNECT_SECONDS = 2.0

STAYS_SECONDS = 1.0
"""How long a connection must be open that nothing else is known of."""

_ROW = re.compile(r"^\s*TCP\[([A-Z0-9_]+)\]\s+\d+\s+\S+\s+(\d+)\s", re.MULTILINE)
"""A connection: its state towards the guest, and the port of this computer that it came in by."""


def way_to(machine: Machine, port: int) -> int:
    """The port of 127.0.0.1 that leads to that TCP port of the guest; 0 where none does."""
    return way_by(machine.view.forwards, port)


def way_by(rules: Iterable[Forward], port: int) -> int:
    """The same by those forwards."""
    pairs = (pair for rule in rules if rule.protocol == "tcp" for pair in rule.pairs())
    return next((here for here, there in pairs if there == port), 0)


def no_way(machine: Machine, port: int) -> NotAllowedError:
    if not machine.view.state.live:
        return NotAllowedError(
            f"“{machine.name}” is {machine.view.state}", hint=f"workstation start {machine.name}"
        )
    here = port if port >= 1024 else 20_000 + port
    return NotAllowedError(
        f"no port of this computer leads to port {port} of “{machine.name}”",
        hint=f"workstation forward add {machine.name} {here}:{port}",
    )


async def answers(monitor: Monitor | None, host_port: int) -> bool:
    """Whether something in the guest takes connections there.

    A connection to this computer's end says nothing: QEMU takes it at once. So QEMU, by its
    monitor, is asked whether it has come to one with the guest, ours or another's. Without one
    (passt has taken it) what counts is whether it stays.
    """
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", host_port)
            try:
                if monitor:
                    return await _established(monitor, host_port)
                return await _stays(reader)
            finally:
                writer.transport.abort()
    return False


async def _stays(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(STAYS_SECONDS):
            return bool(await reader.read(1))
    except TimeoutError:
        return True


async def _established(monitor: Monitor, host_port: int) -> bool:
    """Until the guest has taken or refused it."""
    while True:
        words = {"command-line": "info usernet"}
        said = str(await monitor.execute("human-monitor-command", **words))
        states = {row[1] for row in _ROW.finditer(said) if int(row[2]) == host_port}
        if "ESTABLISHED" in states:
            return True
        if "SYN_SENT" not in states:
            return False
        await asyncio.sleep(0.05)


def open_network(machine: Machine) -> int:
    """The first of its networks that could have a forward; -1 where there is none."""
    networks = machine.view.profile.networks if machine.view.profile else ()
    return next((n for n, one in enumerate(networks) if one.mode in ("user", "passt")), -1)


def by_qemu(machine: Machine, port: int) -> bool:
    """Whether it is QEMU itself that takes connections for that port of the guest."""
    networks = machine.view.profile.networks if machine.view.profile else ()
    return any(way_by(one.forwards, port) for one in networks if one.mode == "user")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

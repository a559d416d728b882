"""Ports of the guest as they are reached from this computer, through the user network."""

import asyncio
import re
import socket
from contextlib import suppress

from workstation.core.machine import Machine
from workstation.errors import MonitorError, NotAllowedError
from workstation.qemu.monitor import Monitor

SSH = 22

CONNECT_SECONDS = 2.0

_ROW = re.compile(r"^\s*TCP\[([A-Z0-9_]+)\]\s+\d+\s+\S+\s+(\d+)\s", re.MULTILINE)
"""A connection: its state towards the guest, and the port of this computer that it came in by."""


def way_to(machine: Machine, port: int) -> int:
    """The port of 127.0.0.1 that leads to that TCP port of the guest; 0 where none does."""
    rules = [one for one in machine.view.forwards if one.protocol == "tcp" and one.guest == port]
    return rules[0].host if rules else 0


def no_way(machine: Machine, port: int) -> NotAllowedError:
    if not machine.view.state.live:
        return NotAllowedError(
            f"“{machine.name}” is {machine.view.state}", hint=f"workstation start {machine.name}"
        )
    here = port if port >= 1024 else 20_000 + port
    return NotAllowedError(
        f"no port of this computer leads to port {port} of “{machine.name}”",
        hint=f"add “{here}:{port}” to the forwards of one of its networks of mode user:"
        f" workstation edit {machine.name}; it counts from the next start",
    )


async def answers(monitor: Monitor, host_port: int) -> bool:
    """Whether something in the guest takes connections there.

    A connection to this computer's end says nothing: QEMU takes it at once. So QEMU is asked
    whether it has come to one with the guest, ours or another's.
    """
    with socket.socket() as tried, suppress(OSError, TimeoutError):
        tried.setblocking(False)
        async with asyncio.timeout(CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(tried, ("127.0.0.1", host_port))
            return await _established(monitor, host_port)
    return False


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


async def open_ssh(machine: Machine) -> int:
    """The way to the guest's port 22; made while it runs, where its profile names none."""
    known = way_to(machine, SSH)
    if known or not machine.view.state.live or machine.monitor is None:
        return known
    return await _added(machine, machine.monitor)


async def _added(machine: Machine, monitor: Monitor) -> int:
    networks = machine.definition.profile.networks if machine.definition else ()
    for number, network in enumerate(networks):
        if network.mode == "user":
            port = _free_port()
            words = f"hostfwd_add net{number} tcp:127.0.0.1:{port}-:22"
            said = await monitor.execute("human-monitor-command", **{"command-line": words})
            if str(said).strip():
                raise MonitorError(f"“{machine.name}” cannot be reached by ssh: {said}")
            return port
    return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

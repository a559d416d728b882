"""Which ports of this computer forwards get: those asked for, or the next free ones above."""

import socket

from workstation.errors import HostError
from workstation.model.profile import Forward, Network

PORTS_TRIED = 200
"""How far above the port that was asked for a free one is looked for."""

Taken = set[tuple[str, int]]
"""Protocol and host port of what others got already."""


def free_forwards(networks: tuple[Network, ...]) -> tuple[tuple[Forward, ...], ...]:
    """Each network's forwards, a taken host port replaced by the next free one above it."""
    taken: Taken = set()
    return tuple(
        tuple(placed(forward, taken) for forward in network.forwards) for network in networks
    )


def placed(forward: Forward, taken: Taken) -> Forward:
    """The forward on free ports of this computer, which are taken from now on.

    Raises HostError where there are none.
    """
    for first in range(forward.host, min(forward.host + PORTS_TRIED, 65537 - forward.count)):
        moved = forward.model_copy(update={"host": first})
        ports = {(forward.protocol, port) for port, _ in moved.pairs()}
        if not ports & taken and all(is_free(forward, port) for _, port in sorted(ports)):
            taken |= ports
            return moved
    raise HostError(
        f"no host port is free from {forward.host} on for the forward {forward}",
        hint="give the forward another host port: workstation forward, or workstation edit",
    )


def is_free(forward: Forward, port: int) -> bool:
    kind = socket.SOCK_STREAM if forward.protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((forward.address, port))
        except OSError:
            return False
    return True

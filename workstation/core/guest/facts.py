"""What the guest says of itself through its agent; believed no further than it can be shown."""

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from workstation.core.guest.agent import Agent
from workstation.errors import MonitorError
from workstation.model.guest import GuestFacts
from workstation.model.text import safe_line

MOST_ADDRESSES = 16


async def facts(agent: Agent) -> GuestFacts:
    """What of it can be had: an agent may refuse any call."""
    system = await _asked(agent, "guest-get-osinfo")
    named = await _asked(agent, "guest-get-host-name")
    interfaces = await _asked(agent, "guest-network-get-interfaces")
    return GuestFacts(
        host_name=_text(named, "host-name"),
        system=_text(system, "pretty-name") or _text(system, "name"),
        kernel=_text(system, "kernel-release"),
        addresses=tuple(_addresses(interfaces)),
    )


async def _asked(agent: Agent, command: str) -> Any:
    with suppress(MonitorError):
        return await agent.execute(command)
    return None


def _text(said: Any, key: str) -> str:
    value = said.get(key) if isinstance(said, dict) else None
    return safe_line(value, limit=200) if isinstance(value, str) else ""


def _addresses(said: Any) -> Iterator[str]:
    found: list[str] = []
    for interface in said[:64] if isinstance(said, list) else ():
        listed = interface.get("ip-addresses") if isinstance(interface, dict) else None
        for one in listed[:64] if isinstance(listed, list) else ():
            address = _address(one)
            if address and address not in found and len(found) < MOST_ADDRESSES:
                found.append(address)
    yield from found


def _address(said: Any) -> str:
    """Empty for what is none, or leads nowhere."""
    with suppress(ValueError, TypeError, AttributeError):
        address = ip_address(said.get("ip-address"))
        if not (address.is_loopback or address.is_link_local or address.is_unspecified):
            return str(address)
    return ""

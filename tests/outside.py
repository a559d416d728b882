"""A world of its own, to be changed at will: network, mounts and users of a namespace.

    unshare --map-root-user --mount --net python -m tests.outside CHECK

Nothing of this computer's own network is seen or touched there. Each check runs a machine in it.
"""

import asyncio
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import cast

from tests.conftest import Shell
from tests.test_guest import small
from workstation.core.workstation import Workstation
from workstation.paths import Paths

PATIENCE = 240.0
"""Seconds that a guest without KVM gets on a busy computer."""

_SET_FLAGS, _SET_ADDRESS, _SET_MASK = 0x8914, 0x8916, 0x891C
_UP_AND_RUNNING = 0x41


def bring_up(name: str, address: str = "") -> None:
    """As `ip link set NAME up` and `ip address add` do (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for what, value in ((_SET_ADDRESS, address), (_SET_MASK, address and "255.255.255.0")):
            if value:
                told = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))
                fcntl.ioctl(asked, what, struct.pack("16s16s", name.encode(), told))
        fcntl.ioctl(asked, _SET_FLAGS, struct.pack("16sH14x", name.encode(), _UP_AND_RUNNING))


class NameServer(asyncio.DatagramProtocol):
    """Answers every question for an address with one (RFC 1035)."""

    def __init__(self, address: str) -> None:
        self._address = socket.inet_aton(address)

    @classmethod
    async def on(cls, place: str, address: str) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: cls(address), local_addr=(place, 53))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5
        wants_ipv4 = data[end - 4 : end - 2] == b"\0\x01"
        head = data[:2] + b"\x81\x80\0\x01" + (b"\0\x01" if wants_ipv4 else b"\0\0") + bytes(4)
        answer = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04" + self._address if wants_ipv4 else b""
        self._transport.sendto(head + data[12:end] + answer, addr)


async def name_servers_change(station: Workstation) -> None:
    """A VPN comes: this computer asks another name server from now on, and so does the guest."""
    await NameServer.on("127.0.0.1", "192.0.2.1")
    await NameServer.on("127.0.0.2", "192.0.2.2")
    file = station.paths.data / "resolv.conf"
    file.write_text("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", str(file), "/etc/resolv.conf"], check=True)
    await station.create("one", small(networks=[{}]))
    await station.start("one", force=True)
    await station.wait_ready("one", timeout=PATIENCE)
    async with Shell.on(station, "one") as shell:
        await shell.run("until ip addr | grep 10.0.2.15; do sleep 0.2; done", PATIENCE)
        asks = "until nslookup shop.example 10.0.2.3 | grep -F {}; do sleep 0.2; done"
        assert "192.0.2.1" in await shell.run(asks.format("192.0.2.1"), PATIENCE)
        file.write_text("# by the VPN\nnameserver 127.0.0.2\n")
        assert "192.0.2.2" in await shell.run(asks.format("192.0.2.2"), PATIENCE)
        file.write_text("nameserver 127.0.0.1\n")
        assert "192.0.2.1" in await shell.run(asks.format("192.0.2.1"), PATIENCE)


async def connections_take_the_route_that_is_there(station: Workstation) -> None:
    """An address that nothing led to before is reached as soon as something does."""
    tap, server = _tap("vpn0"), None
    await station.create("one", small(networks=[{}]))
    await station.start("one", force=True)
    await station.wait_ready("one", timeout=PATIENCE)
    async with Shell.on(station, "one") as shell:
        fetch = "nc -w 2 198.51.100.7 8000 </dev/null"
        assert "by the vpn" not in await shell.run(f"{fetch}; true")
        bring_up("vpn0", "198.51.100.7")
        server = await asyncio.start_server(_greet, "198.51.100.7", 8000)
        said = await shell.run(f"until {fetch} | grep vpn; do sleep 0.2; done", PATIENCE)
        assert "by the vpn" in said
    server.close()
    os.close(tap)


async def _greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"reached by the vpn\n")
    writer.close()


_MAKE_TAP, _MAKE_LASTING = 0x400454CA, 0x400454CB


def _tap(name: str, *, lasting: bool = False) -> int:
    """A tap device; `lasting`, as an administrator makes one for a user (tun(4))."""
    tap = os.open("/dev/net/tun", os.O_RDWR)
    flags = 0x0002 | 0x1000 | (0x4000 if lasting else 0)
    fcntl.ioctl(tap, _MAKE_TAP, struct.pack("16sH22x", name.encode(), flags))
    if lasting:
        fcntl.ioctl(tap, _MAKE_LASTING, 1)
    return tap


def _reaches(network: str) -> str:
    """For the guest's shell; its DHCP client, which finds no server, takes the address away."""
    address = f"ip addr replace {network}.2/24 dev eth0; ip link set eth0 up"
    return f"until {address}; nc -w 5 {network}.1 8000 </dev/null | grep vpn; do sleep 0.2; done"


async def a_tap_leads_to_this_computer(station: Workstation) -> None:
    os.close(_tap("tap0", lasting=True))
    bring_up("tap0", "10.9.8.1")
    server = await asyncio.start_server(_greet, "10.9.8.1", 8000)
    await station.create("one", small(networks=[{"mode": "tap", "name": "tap0"}]))
    await station.start("one", force=True)
    await station.wait_ready("one", timeout=PATIENCE)
    async with Shell.on(station, "one") as shell:
        assert "by the vpn" in await shell.run(_reaches("10.9.8"), PATIENCE)
    server.close()


async def a_bridge_leads_to_its_other_ports(station: Workstation) -> None:
    """By QEMU's own helper, which asks /etc/qemu/bridge.conf."""
    more = station.paths.data / "etc"
    (more / "qemu").mkdir(parents=True)
    (more / "qemu/bridge.conf").write_text("allow br0\n")
    over = f"lowerdir={more}:/etc"
    subprocess.run(["mount", "-t", "overlay", "-o", over, "overlay", "/etc"], check=True)
    subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
    subprocess.run(["ip", "link", "add", "br0", "type", "bridge"], check=True)
    bring_up("br0", "10.9.7.1")
    server = await asyncio.start_server(_greet, "10.9.7.1", 8000)
    await station.create("one", small(networks=[{"mode": "bridge", "name": "br0"}]))
    await station.start("one", force=True)
    await station.wait_ready("one", timeout=PATIENCE)
    async with Shell.on(station, "one") as shell:
        assert "by the vpn" in await shell.run(_reaches("10.9.7"), PATIENCE)
    server.close()


CHECKS: dict[str, Callable[[Workstation], Awaitable[None]]] = {
    check.__name__: check
    for check in (
        name_servers_change,
        connections_take_the_route_that_is_there,
        a_tap_leads_to_this_computer,
        a_bridge_leads_to_its_other_ports,
    )
}


async def main() -> None:
    bring_up("lo")
    async with Workstation(Paths.from_environment(), front_end="test") as station:
        try:
            await CHECKS[sys.argv[1]](station)
        finally:
            if station.view("one").pid:
                await station.kill("one")
    print("all is well")


if __name__ == "__main__":
    asyncio.run(main())

"""What a private network's hub answers itself: addresses (DHCP) and the machines' names (DNS).

The hub is `.1` of a network that comes from the name, `.2` and up are the machines', each from its
Ethernet address: so a machine has the same address after a restart or a revert, and nothing is
written down. DNS knows the machines by their names in this program, alone and with the network's
name behind. Whatever else is asked is refused, so that a guest asks its next server. No router is
named: nothing leads out. Everything here comes from guests: what is not understood is not answered.
RFC 826 (ARP), 2131 and 2132 (DHCP), 1035 (DNS).
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

LEASE_SECONDS = 3600
MOST_LEASES = 250

_BROADCAST = b"\xff" * 6
_ANYWHERE = b"\xff" * 4
_COOKIE = b"\x63\x82\x53\x63"
_DISCOVER, _OFFER, _REQUEST, _ACK, _NAK = 1, 2, 3, 5, 6


class Datagram(NamedTuple):
    """A UDP packet over IPv4 over Ethernet."""

    mac: bytes
    """Of its sender."""
    source: bytes
    target: bytes
    source_port: int
    target_port: int
    data: bytes


class Answers:
    """Of the hub of the network of that name."""

    def __init__(self, name: str) -> None:
        third = zlib.crc32(name.encode()) & 0xFF
        self._network = bytes((10, 77, third))
        self.address = self._network + b"\x01"
        self.mac = b"\x52\x54\x4d" + self._network
        self._domain = name.lower().encode()
        self._leases: dict[bytes, tuple[bytes, str]] = {}
        """By Ethernet address: IPv4 address, and the machine's name."""

    def to(self, frame: bytes, machine: str) -> Iterator[bytes]:
        """Frames that go back to that machine."""
        try:
            yield from self._to(frame, machine)
        except (struct.error, IndexError, UnicodeError):
            return

    def _to(self, frame: bytes, machine: str) -> Iterator[bytes]:
        kind = frame[12:14]
        self._remember(frame, machine)
        if kind == b"\x08\x06":
            yield from self._arp(frame)
        elif kind == b"\x08\x00" and (asked := _datagram(frame)):
            if asked.target_port == 67:
                yield from self._dhcp(asked, machine)
            elif asked.target_port == 53 and asked.target == self.address:
                yield from self._dns(asked)

    def _remember(self, frame: bytes, machine: str) -> None:
        """A hub that was killed has forgotten who has an address; whoever uses its own says so."""
        mac = frame[6:12]
        used = frame[28:32] if frame[12:14] == b"\x08\x06" else frame[26:30]
        if mac not in self._leases and used == self._first(mac):
            self._lease(mac, machine)

    def _first(self, mac: bytes) -> bytes:
        """The address of a machine where no other has it."""
        return self._network + bytes((zlib.crc32(mac) % 252 + 2,))

    def _arp(self, frame: bytes) -> Iterator[bytes]:
        asks = frame[20:22] == b"\x00\x01" and frame[38:42] == self.address
        if asks:
            sender = frame[22:32]
            head = sender[:6] + self.mac + b"\x08\x06" + b"\x00\x01\x08\x00\x06\x04\x00\x02"
            yield head + self.mac + self.address + sender

    # -- DHCP -----------------------------------------------------------------

    def _dhcp(self, asked: Datagram, machine: str) -> Iterator[bytes]:
        data = asked.data
        if len(data) < 241 or data[0] != 1 or data[236:240] != _COOKIE:
            return
        options = dict(_options(data[240:]))
        kind = options.get(53, b"\x00")[0]
        if kind not in (_DISCOVER, _REQUEST):
            return
        mac = data[28:34]
        address = self._lease(mac, machine)
        wanted = options.get(50) or data[12:16]
        if kind == _DISCOVER:
            answer = _OFFER
        elif options.get(54, self.address) != self.address:
            return  # it chose another server
        else:
            answer = _ACK if wanted == address else _NAK
        yield self._dhcp_answer(data, mac, address, answer)

    def _lease(self, mac: bytes, machine: str) -> bytes:
        if mac not in self._leases and len(self._leases) >= MOST_LEASES:
            self._leases.clear()
        taken = {address for other, (address, _) in self._leases.items() if other != mac}
        first = zlib.crc32(mac)
        places = ((first + step) % 252 + 2 for step in range(252))
        address = next(a for place in places if (a := self._network + bytes((place,))) not in taken)
        self._leases[mac] = (address, machine)
        return address

    def _dhcp_answer(self, data: bytes, mac: bytes, address: bytes, kind: int) -> bytes:
        given = bytes(4) if kind == _NAK else address
        head = b"\x02" + data[1:3] + b"\x00" + data[4:8] + bytes(2) + data[10:12] + bytes(4)
        head += given + self.address + bytes(4) + data[28:44] + bytes(192)
        options = _option(53, bytes((kind,))) + _option(54, self.address)
        if kind != _NAK:
            options += _option(51, struct.pack(">I", LEASE_SECONDS))
            options += _option(1, b"\xff\xff\xff\x00") + _option(6, self.address)
            options += _option(15, self._domain)
        answer = (head + _COOKIE + options + b"\xff").ljust(300, b"\0")
        # To everybody: a client without an address may not take anything else.
        return _frame(_BROADCAST, self.mac, self.address, _ANYWHERE, 67, 68, answer)

    # -- DNS ------------------------------------------------------------------

    def _dns(self, asked: Datagram) -> Iterator[bytes]:
        data = asked.data
        flags, questions = struct.unpack(">HH", data[2:6])
        if flags & 0xF800 or questions != 1:
            return
        name, end = _name(data, 12)
        kind, family = struct.unpack(">HH", data[end : end + 4])
        found = self._find(name)
        records = b""
        if found and kind == 1 and family == 1:
            records = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 10, 4) + found
        code = 0 if found else 5
        head = struct.pack(">HHHHH", 0x8480 | (flags & 0x0100) | code, 1, bool(records), 0, 0)
        answer = data[:2] + head + data[12 : end + 4] + records
        yield _frame(asked.mac, self.mac, self.address, asked.source, 53, asked.source_port, answer)

    def _find(self, name: bytes) -> bytes:
        """The address of a machine; empty where none of that name has one."""
        short = name.lower().removesuffix(b"." + self._domain)
        for address, machine in self._leases.values():
            if machine.encode() == short:
                return address
        return b""


def _name(data: bytes, at: int) -> tuple[bytes, int]:
    """A name without compression (a question has none), and where it ends."""
    labels = []
    while length := data[at]:
        if length > 63:
            raise IndexError
        labels.append(data[at + 1 : at + 1 + length])
        at += 1 + length
    return b".".join(labels), at + 1


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        length = data[at + 1]
        yield data[at], data[at + 2 : at + 2 + length]
        at += 2 + length


def _option(number: int, value: bytes) -> bytes:
    return bytes((number, len(value))) + value


# -- packets ------------------------------------------------------------------


def _datagram(frame: bytes) -> Datagram | None:
    """None for what is no UDP, or only a part of it."""
    length = (frame[14] & 0xF) * 4
    if frame[14] >> 4 != 4 or length < 20 or frame[23] != 17 or frame[20] & 0x3F or frame[21]:
        return None
    start = 14 + length
    source_port, target_port, size = struct.unpack(">HHH", frame[start : start + 6])
    data = frame[start + 8 : start + size]
    return Datagram(frame[6:12], frame[26:30], frame[30:34], source_port, target_port, data)


def _frame(
    to: bytes, mac: bytes, source: bytes, target: bytes, port: int, target_port: int, data: bytes
) -> bytes:
    # A UDP checksum of zero says that there is none (RFC 768).
    udp = struct.pack(">HHHH", port, target_port, 8 + len(data), 0) + data
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + source + target
    ip = ip[:10] + struct.pack(">H", _checksum(ip)) + ip[12:]
    return to + mac + b"\x08\x00" + ip + udp


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF

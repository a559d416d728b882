"""The hub of a private network: a process of its own, which ends with the last cable.

QEMU sends each Ethernet frame over a connected socket, its length before it as four bytes in
network order (net/stream.c). The hub is a learning switch: a frame goes to the machine whose
address it bears, or to all others where that is not known. A machine that does not take its frames
loses them, as on a real cable. It imports the standard library and its neighbour only: it starts in
no time, and costs 10 MB.
"""

import fcntl
import os
import selectors
import socket
import struct
import sys
from collections import deque
from pathlib import Path

from workstation.core.lan.answers import Answers

LONGEST = 4096 + 65536
"""Bytes of the longest frame that QEMU sends (NET_BUFSIZE)."""

BACKLOG = 4 * 2**20
"""Bytes that wait for a machine at most; what comes then is lost."""

MOST_ADDRESSES = 4096
"""Addresses that are remembered: a guest may invent as many as it likes."""

NOBODY_SECONDS = 10.0
"""How long it waits for a first cable, and looks again for a next one."""

_LENGTH = struct.Struct(">I")


class Cable:
    """One machine's connection. Its first line, written by whoever plugs it in, is its name."""

    def __init__(self, plug: socket.socket) -> None:
        self.plug = plug
        self.name = ""
        self._named = False
        self._in = bytearray()
        self._out: deque[memoryview] = deque()
        self._waiting = 0

    def frames(self) -> list[bytes] | None:
        """What came in, as whole frames; None where the cable is unplugged, or speaks nonsense."""
        try:
            piece = self.plug.recv(2**18)
        except BlockingIOError:
            return []
        except OSError:
            return None
        self._in += piece
        return self._whole() if piece else None

    def _whole(self) -> list[bytes] | None:
        if not self._named:
            line, newline, rest = bytes(self._in).partition(b"\n")
            if not newline:
                return [] if len(line) < 256 else None
            self.name, self._named, self._in = line.decode(errors="replace"), True, bytearray(rest)
        found, at = [], 0
        while len(self._in) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._in, at)
            if length > LONGEST:
                return None
            if len(self._in) - at < _LENGTH.size + length:
                break
            found.append(bytes(self._in[at + _LENGTH.size : at + _LENGTH.size + length]))
            at += _LENGTH.size + length
        del self._in[:at]
        return found

    def send(self, frame: bytes) -> None:
        if self._waiting + len(frame) <= BACKLOG:
            self._out.append(memoryview(_LENGTH.pack(len(frame)) + frame))
            self._waiting += len(frame) + _LENGTH.size
            self.flush()

    def flush(self) -> None:
        while self._out:
            try:
                sent = self.plug.send(self._out[0])
            except BlockingIOError:
                return
            except OSError:
                self._out.clear()  # its end is noticed by reading
                return
            self._waiting -= sent
            rest = self._out.popleft()[sent:]
            if rest:
                self._out.appendleft(rest)

    @property
    def busy(self) -> bool:
        return bool(self._out)


class Hub:
    """All cables of one network, and where each address was seen last."""

    def __init__(self, listener: socket.socket, name: str) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._places: dict[bytes, Cable] = {}
        self._answers = Answers(name)
        self.cables: set[Cable] = set()

    def turn(self, seconds: float | None) -> None:
        """Wait for something to happen, and deal with it."""
        ready = self._selector.select(seconds)
        # Who is plugged in already hears what the others send from now on.
        while any(key.data is None for key, _ in ready) and self._accept():
            pass
        for key, events in ready:
            if key.data is None:
                continue
            if events & selectors.EVENT_WRITE:
                key.data.flush()
            if events & selectors.EVENT_READ:
                self._take(key.data)
        for cable in self.cables:
            watched = selectors.EVENT_READ | (selectors.EVENT_WRITE if cable.busy else 0)
            if self._selector.get_key(cable.plug).events != watched:
                self._selector.modify(cable.plug, watched, cable)

    def _accept(self) -> bool:
        """Whether there was one."""
        try:
            plug, _ = self._listener.accept()
        except OSError:
            return False
        plug.setblocking(False)
        cable = Cable(plug)
        self.cables.add(cable)
        self._selector.register(plug, selectors.EVENT_READ, cable)
        return True

    def _take(self, cable: Cable) -> None:
        frames = cable.frames()
        if frames is None:
            self._unplug(cable)
            return
        for frame in frames:
            self._pass_on(cable, frame)

    def _unplug(self, cable: Cable) -> None:
        self._selector.unregister(cable.plug)
        cable.plug.close()
        self.cables.discard(cable)
        self._places = {mac: one for mac, one in self._places.items() if one is not cable}

    def _pass_on(self, source: Cable, frame: bytes) -> None:
        if len(frame) < 14:
            return
        target, sender = frame[:6], frame[6:12]
        if len(self._places) >= MOST_ADDRESSES and sender not in self._places:
            self._places.clear()
        self._places[sender] = source
        for answer in self._answers.to(frame, source.name):
            source.send(answer)
        known = self._places.get(target)
        for cable in [known] if known else self.cables:
            if cable is not source:
                cable.send(frame)


def main() -> None:
    """Arguments: the network's name, its socket and its lock. The listening socket is stdin."""
    name, place, lock = sys.argv[1:4]
    listener = socket.socket(fileno=os.dup(0))
    listener.setblocking(False)
    hub = Hub(listener, name)
    while True:
        hub.turn(None if hub.cables else NOBODY_SECONDS)
        if not hub.cables and _may_end(hub, lock):
            Path(place).unlink()
            return


def _may_end(hub: Hub, lock: str) -> bool:
    """Nobody is plugging in, and nobody will find this hub any more: the lock is held from here."""
    held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return False
    hub.turn(0)  # who connected before the lock was taken is served
    if hub.cables:
        os.close(held)
    return not hub.cables


if __name__ == "__main__":
    main()

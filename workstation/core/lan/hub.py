"""The hub of a private network: a process of its own, which ends with the last cable.

QEMU sends each Ethernet frame over a connected socket, its length before it as four bytes in
network order (net/stream.c). The hub is a learning switch: a frame goes to the machine whose
address it bears, or to all others where that is not known. A machine that does not take its frames
loses them, as on a real cable.

The machines wait at sockets of their own, `NETWORK@MACHINE@CABLE` beside the hub's, and the hub
comes to them: when it begins, and whenever somebody calls at its own socket. So a hub that was
killed is followed by one that finds all of them: QEMU 7.2 waits again, but would not connect again.

It imports the standard library and its neighbour only: it starts in no time, and costs 10 MB.
"""

import fcntl
import os
import selectors
import socket
import struct
import sys
from collections import deque
from contextlib import ExitStack, suppress
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
    """The connection to one machine."""

    def __init__(self, plug: socket.socket, name: str) -> None:
        self.plug = plug
        self.name = name
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
        self._name = name
        self._met: dict[str, int] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._places: dict[bytes, Cable] = {}
        self._answers = Answers(name)
        self.cables: set[Cable] = set()

    def turn(self, seconds: float | None) -> None:
        """Wait for something to happen, and deal with it."""
        ready = self._selector.select(seconds)
        # Who is plugged in already hears what the others send from now on.
        if any(key.data is None for key, _ in ready):
            with ExitStack() as answered:
                self._take_calls(answered)
                self.look()
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

    def _take_calls(self, answered: ExitStack) -> None:
        """Whoever calls has nothing to say but that there is something to see, and is answered by
        the end of the connection."""
        with suppress(BlockingIOError):
            while True:
                answered.enter_context(self._listener.accept()[0])

    def look(self) -> None:
        """Plug in whoever waits at a socket that is new."""
        for end in sorted(Path().glob(f"{self._name}@*@*")):
            with suppress(OSError):  # its machine has gone, and left it
                seen = end.stat().st_ino
                if self._met.get(end.name) != seen:
                    self._plug_in(end)
                    self._met[end.name] = seen

    def _plug_in(self, end: Path) -> None:
        plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        plug.setblocking(False)
        try:
            plug.connect(end.name)
        except OSError:
            plug.close()
            raise
        cable = Cable(plug, end.name.split("@")[1])
        self.cables.add(cable)
        self._selector.register(plug, selectors.EVENT_READ, cable)

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
    # Relative names: a socket's path has 108 bytes.
    os.chdir(Path(place).parent)
    listener = socket.socket(fileno=os.dup(0))
    listener.setblocking(False)
    hub = Hub(listener, name)
    hub.look()
    while True:
        hub.turn(None if hub.cables else NOBODY_SECONDS)
        if not hub.cables and _may_end(hub, lock):
            for left in (Path(place), *Path().glob(f"{name}@*@*")):
                left.unlink(missing_ok=True)
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

"""Whether the host's passt can serve a network."""

import socket
import struct

from workstation.qemu import trial

ANSWER_SECONDS = 10.0
"""How long it may take to begin; here 20 ms."""

_MAC = bytes.fromhex("525400000001")
_QUESTION = struct.pack(
    "!6s6sH HHBBH 6s4s6s4s",
    bytes([255] * 6), _MAC, 0x0806,
    1, 0x0800, 6, 4, 1,
    _MAC, bytes(4), bytes(6), socket.inet_aton("192.0.2.1"),
)  # fmt: skip
"""Who has that address? passt answers for every address, as the guest's router (RFC 826)."""


def arguments(program: str, descriptor: int, tcp: list[str], udp: list[str]) -> list[str]:
    """To serve the guest at the other end of that socket; ports are as passt(1) writes them."""
    argv = [program, "--foreground", "--quiet", f"--fd={descriptor}"]
    for option, ports in (("--tcp-ports", tcp), ("--udp-ports", udp)):
        argv += [word for port in ports or ["none"] for word in (option, port)]
    return argv


def trouble(program: str) -> str:
    """Why it cannot; empty where it can. It is tried without a guest: where it may make no
    namespaces to lock itself in, it ends at once."""
    if not program:
        return "passt is not installed"
    asks, its = socket.socketpair()
    with asks:
        with its:
            argv = arguments(program, its.fileno(), [], [])
            try:
                process = trial.begin(argv, its.fileno())
            except OSError as error:
                return f"{program} does not run: {error.strerror}"
        # Frames on a stream socket go with their length before them, as QEMU sends them.
        frame = struct.pack("!I", len(_QUESTION)) + _QUESTION
        return trial.end(process, program, answers=trial.answers(asks, frame, ANSWER_SECONDS))

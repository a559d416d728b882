"""A helper of QEMU's, tried on a socket: whether it answers the first question of its protocol."""

import os
import signal
import socket
import subprocess
from contextlib import suppress


def begin(argv: list[str], descriptor: int) -> subprocess.Popen[bytes]:
    """Start it with that socket; raises OSError. Let go of the socket then: nobody else may hold
    it, so that where the helper ends, the connection does."""
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        pass_fds=(descriptor,), cwd="/", start_new_session=True,
    )  # fmt: skip


def answers(asks: socket.socket, question: bytes, seconds: float) -> bool:
    """Whether anything comes back; the socket is closed then, and the helper ends with it."""
    asks.settimeout(seconds)
    try:
        asks.sendall(question)
        return bool(asks.recv(2048))
    except OSError:
        return False
    finally:
        asks.close()


def end(process: subprocess.Popen[bytes], program: str, *, answers: bool) -> str:
    """Wait for its end, and help where it does not; why it does not serve, empty where it did."""
    try:
        _, words = process.communicate(timeout=1)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _, words = process.communicate()
    if answers:
        return ""
    lines = words.decode(errors="replace").strip().splitlines()
    said = lines[-1] if lines else f"exit code {process.returncode}"
    return f"{program} does not serve any here: {said}"

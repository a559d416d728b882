"""Whether the host's virtiofsd can serve a share."""

import os
import signal
import socket
import struct
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

ANSWER_SECONDS = 10.0
"""How long it may take to begin; here 30 ms."""

_GET_FEATURES = struct.pack("<III", 1, 1, 0)
"""The first thing that QEMU asks: request 1, version 1, no payload (docs/interop/vhost-user)."""


def arguments(program: str, directory: Path, socket: int, *, writable: bool) -> list[str]:
    """To serve the directory to who connects to the listening socket of that descriptor."""
    argv = [program, f"--shared-dir={directory}", f"--fd={socket}"]
    return argv if writable else [*argv, "--readonly"]


def trouble(program: str, *, writable: bool) -> str:
    """Why it cannot; empty where it can. It is tried with an empty directory: an old one takes
    other options, and in a container it may find no way to lock itself in."""
    if not program:
        return "virtiofsd is not installed"
    with TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as asks:
        directory = Path(place, "shared")
        directory.mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{place}/socket")
            listener.listen(1)
            asks.connect(f"{place}/socket")
            try:
                process = subprocess.Popen(
                    arguments(program, directory, listener.fileno(), writable=writable),
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                    pass_fds=(listener.fileno(),), cwd="/", start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                return f"{program} does not run: {error.strerror}"
        # Nobody else holds the listening socket now: where it ends, so does the connection.
        answers = _answers(asks)
        words = _ended(process)
        if answers:
            return ""
        said = words.splitlines()[-1] if words else f"exit code {process.returncode}"
        return f"{program} does not serve any here: {said}"


def _answers(asks: socket.socket) -> bool:
    asks.settimeout(ANSWER_SECONDS)
    try:
        asks.sendall(_GET_FEATURES)
        return bool(asks.recv(12))
    except OSError:
        return False
    finally:
        asks.close()  # which it ends with


def _ended(process: subprocess.Popen[bytes]) -> str:
    """What it wrote, once it has ended."""
    try:
        _, words = process.communicate(timeout=1)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _, words = process.communicate()
    return words.decode(errors="replace").strip()

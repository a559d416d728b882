"""Whether the host's virtiofsd can serve a share."""

import socket
import struct
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from workstation.qemu import trial

ANSWER_SECONDS = 10.0
"""How long it may take to begin; here 30 ms."""

_GET_FEATURES = struct.pack("<III", 1, 1, 0)
"""The first thing that QEMU asks: request 1, version 1, no payload (docs/interop/vhost-user)."""


def arguments(program: str, directory: Path, socket: int, *, writable: bool) -> list[str]:
    """To serve the directory to who connects to the listening socket of that descriptor."""
    argv = [program, f"--shared-dir={directory}", f"--fd={socket}"]
    if _LOST in _help(program):
        argv.append(f"{_LOST}=guest-error")
    return argv if writable else [*argv, "--readonly"]


_LOST = "--migration-on-error"
"""What becomes of a guest's memory that knows a file which is not in the directory any more: the
guest gets an error for that file. As virtiofsd has it by itself, the memory is refused."""


def _help(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--help"], stdin=subprocess.DEVNULL, capture_output=True,
            timeout=ANSWER_SECONDS, cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")


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
            argv = arguments(program, directory, listener.fileno(), writable=writable)
            try:
                process = trial.begin(argv, listener.fileno())
            except OSError as error:
                return f"{program} does not run: {error.strerror}"
        answered = trial.answers(asks, _GET_FEATURES, ANSWER_SECONDS)
        return trial.end(process, program, answers=answered)

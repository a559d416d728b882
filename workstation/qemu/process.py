"""QEMU's process: started so that it outlives every front-end, found again, awaited, ended.

QEMU runs under a *witness*, a shell of a few hundred kilobytes that does two things: it writes
down who QEMU is and, when QEMU has ended, its exit status. Both live in a session of their own,
so that neither Ctrl-C nor a closed terminal nor the end of the front-end reaches them. Whoever
comes later reads the two files (procfs.py).
"""

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Iterable, Sequence

from workstation.paths import MachinePaths
from workstation.qemu.procfs import Pair, ProcessId, alive

_WITNESS = """\
umask 077
process=$1 exit=$2
shift 2
"$@" >&2 &
read -r own </proc/$$/stat
read -r child </proc/$!/stat
printf '%s\\n%s\\n' "$own" "$child" >"$process"
exec >&2
wait $!
echo $? >"$exit"
"""


def spawn(argv: Sequence[str], paths: MachinePaths, descriptors: Iterable[int]) -> None:
    """Start QEMU under a witness; `descriptors` are handed down to it under their numbers.

    Its log begins with the command line, on one line.
    The files of an earlier run must be gone. Returns when the witness has written down who QEMU
    is, some milliseconds later, and before QEMU is ready for anything: call it in a thread.
    """
    # A new file: ext4 writes one that was cut to nothing to the disk when it is closed.
    paths.qemu_log.unlink(missing_ok=True)
    log = os.open(paths.qemu_log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.write(log, f"{shlex.join(argv)}\n".encode())
    try:
        witness = subprocess.Popen(
            ["/bin/sh", "-c", _WITNESS, "witness", str(paths.process), str(paths.exit), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            start_new_session=True,
            pass_fds=tuple(descriptors),
        )
    finally:
        os.close(log)
    if witness.stdout:
        with witness.stdout as said:
            said.read()  # ends when the witness lets go of its standard output
    # Reaped by `ended`, or by init once this front-end is gone; never by this object.
    witness.returncode = 0


async def ended(process: ProcessId) -> None:
    """Return when that process has ended; at once where it has already."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    try:
        if alive(process):
            loop.add_reader(descriptor, gone.set)
            await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        _reap(process.pid)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


async def pair_ended(pair: Pair) -> None:
    """Return when QEMU has ended and its witness has written down how."""
    await ended(pair.witness)
    await ended(pair.qemu)


def send(process: ProcessId, number: signal.Signals) -> None:
    """Signal that very process; nothing happens where it has ended."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(process.pid)
        try:
            if alive(process):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)

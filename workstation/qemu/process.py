"""QEMU's process: started so that it outlives every front-end, found again, awaited, ended.

QEMU runs under a *witness*, a shell of a few hundred kilobytes that does three things: it writes
down who QEMU is, it has what the guest prints kept (line_log.py) and, when QEMU has ended, it
writes down its exit status. They live in a session of their own, so that neither Ctrl-C nor a
closed terminal nor the end of the front-end reaches them. Whoever comes later reads the two files
(procfs.py).
"""

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from workstation.paths import MachinePaths
from workstation.qemu.line_log import KEEP, Kept, pipe
from workstation.qemu.procfs import Pair, ProcessId, alive

_WITNESS = f"""\
umask 077
process=$1 exit=$2 log=$3 line=$4 at=$5 size=$6
shift 6
exec 3<&0 4>/dev/fd/3 5>&2 </dev/null 2>>"$log"
"$@" 3<&- 5>&- >&2 &
read -r own </proc/$$/stat
read -r child </proc/$!/stat
printf '%s\\n%s\\n' "$own" "$child" >"$process"
qemu=$!
if [ "$line" ]; then
    (
        set -- "$line" "$at" "$size"
        {KEEP}
    ) <&3 3<&- 4>&- 5>&- >/dev/null 2>&1 &
fi
exec 5>&- >&2 3<&- 4>&-
wait $qemu
echo $? >"$exit"
"""
"""Standard input is a pipe's end to read from, of which it makes the end to write to as well: so
there is always a reader and a writer, whatever happens to the front-end. Standard error is the
machine's lock, which it shares until it has written down who QEMU is: so nobody takes the machine
for one that is off, and starts it once more, where the front-end is killed before that."""

FIRST_DESCRIPTOR = 10
"""A shell can name those below, and uses some."""


def spawn(
    argv: Sequence[str],
    paths: MachinePaths,
    descriptors: Iterable[int],
    kept: Kept | None,
    lock: int,
) -> None:
    """Start QEMU under a witness; `descriptors` are handed down to it under their numbers, which
    are `FIRST_DESCRIPTOR` or more.

    What the guest prints on its line is `kept`, of a guest that has one; `lock` is the descriptor
    of the machine's lock. QEMU's own log begins with the command line, on one line.
    The files of an earlier run must be gone. Returns when the witness has written down who QEMU
    is, some milliseconds later, and before QEMU is ready for anything: call it in a thread.
    """
    _begin_log(paths.qemu_log, argv)
    files = (paths.process, paths.exit, paths.qemu_log)
    told = [str(it) for it in (*files, *(kept or ("", "", "")))]
    with pipe() as source:
        witness = subprocess.Popen(
            ["/bin/sh", "-c", _WITNESS, "witness", *told, *argv],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=lock,
            cwd="/",
            start_new_session=True,
            pass_fds=tuple(descriptors),
        )
    if witness.stdout:
        with witness.stdout as said:
            said.read()  # ends when the witness lets go of its standard output
    # Reaped by `ended`, or by init once this front-end is gone; never by this object.
    witness.returncode = 0


def _begin_log(path: Path, argv: Sequence[str]) -> None:
    # A new file: ext4 writes one that was cut to nothing to the disk when it is closed.
    path.unlink(missing_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(log, f"{shlex.join(argv)}\n".encode())
    finally:
        os.close(log)


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

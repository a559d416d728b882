"""What a guest prints on a line of its own, kept by a process that outlives every front-end.

QEMU writes its log of the line into a pipe, whose other end a small shell reads: it keeps the last
two *segments*, files named by the offset at which they begin among all that was ever printed. So
the log is bounded though nobody is watching, and an offset keeps its meaning. When the disk is full
the shell reads on and keeps nothing, for QEMU waits for its log: a full pipe would stop the guest.
It ends when the last holder of the pipe does: QEMU and its witness.
"""

import fcntl
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PIPE_BYTES = 1 << 20
"""What the pipe holds while the shell changes segments, or the disk is slow."""

_KEEP = """\
umask 077
at=$1 size=$2
while :; do
    # Unbuffered: who follows the log sees each byte when it is printed.
    stdbuf -o0 head -c "$size" >"$at" && kept=0 || kept=$?
    printed=$(wc -c <"$at") || printed=$size
    if [ "$kept" != 0 ]; then
        dropped=$(head -c "$size" | wc -c)
        [ "$dropped" -gt 0 ] || exit
        printed=$((printed + dropped))
    elif [ "$printed" -lt "$size" ]; then
        exit
    fi
    next=$((at + printed))
    for file in *; do
        [ "$file" = "$at" ] || rm -f "$file"
    done
    at=$next
done
"""


class Segment(NamedTuple):
    start: int
    """Bytes that were printed before it."""
    path: Path


def segments(directory: Path) -> list[Segment]:
    """The kept parts of the log, oldest first; of a plain file, that one."""
    try:
        names = [entry.name for entry in directory.iterdir()]
    except NotADirectoryError:
        return [Segment(0, directory)]
    except OSError:
        return []
    starts = sorted(int(name) for name in names if name.isdecimal())
    return [Segment(start, directory / str(start)) for start in starts]


def length(path: Path) -> int:
    """Its bytes; 0 where it is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def begin_anew(directory: Path) -> None:
    """Forget the log. The directory is another one afterwards: who still writes into the old one
    spoils nothing."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def begin_with(printed: Path, directory: Path) -> None:
    """An empty log goes on from what was printed elsewhere."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(printed, directory / "0")
    (directory / "0").chmod(0o600)


def keep(source: int, directory: Path, size: int) -> None:
    """Start the process that keeps what comes out of the pipe `source`, after what is there.

    `size` is a segment's, in bytes: between one and two of them are kept.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = segments(directory)
    at = known[-1].start + length(known[-1].path) if known else 0
    with suppress(PermissionError):  # this user has as much in pipes as is allowed: a short one
        fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    # In the background of a shell that ends at once: nobody has to reap it.
    subprocess.run(
        ["/bin/sh", "-c", 'exec 3<&0; "$@" <&3 3<&- &', "line-log",
         "/bin/sh", "-c", _KEEP, "line-log", str(at), str(size)],
        stdin=source, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd=directory, start_new_session=True, check=True,
    )  # fmt: skip

"""What a guest prints on a line of its own, kept by a process that outlives every front-end.

QEMU writes its log of the line into a pipe, whose other end a small shell reads, a child of the
witness (process.py): it keeps the last two *segments*, files named by the offset at which they
begin among all that was ever printed. So the log is bounded though nobody is watching, and an
offset keeps its meaning. When the disk is full the shell reads on and keeps nothing, for QEMU waits
for its log: a full pipe would stop the guest. It ends when QEMU does, the pipe's only writer.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

PIPE_BYTES = 1 << 20
"""What the pipe holds while the shell changes segments, or the disk is slow."""

DESCRIPTOR = 4
"""The pipe's number in QEMU."""

KEEP = """\
cd "$1" || exit
at=$2 size=$3
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
"""Keeps what comes on standard input, told the three values of a `Kept`."""


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


class Kept(NamedTuple):
    """What a witness has kept."""

    directory: Path
    at: int
    """Where the log goes on: bytes that were printed before."""
    size: int
    """A segment's bytes: between one and two segments are kept."""


def begin_anew(directory: Path) -> int:
    """Forget the log; returns where it goes on. The directory is another one afterwards: who still
    writes into the old one spoils nothing."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return 0


def begin_with(printed: Path, directory: Path) -> int:
    """An empty log goes on from what was printed elsewhere."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(printed, directory / "0")
    (directory / "0").chmod(0o600)
    return length(directory / "0")


def go_on(directory: Path) -> int:
    """After what is there, if anything is."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = segments(directory)
    return known[-1].start + length(known[-1].path) if known else 0


@contextmanager
def pipe() -> Iterator[int]:
    """The end to read from of a new pipe for a witness, which makes the other out of it."""
    source, sink = os.pipe()
    os.close(sink)
    try:
        with suppress(PermissionError):  # this user has as much in pipes as is allowed: a short one
            fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        yield source
    finally:
        os.close(source)

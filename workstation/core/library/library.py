"""The machines of this host as directories: made whole, and taken away."""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from workstation.core import atomic
from workstation.core.library.names import NAME
from workstation.errors import UsageError
from workstation.paths import MachinePaths, Paths


def check_new_name(paths: Paths, name: str) -> None:
    """Raise UsageError unless a machine of that name could be made."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"“{name}” cannot be a machine's name",
            hint="take up to 40 of a-z, 0-9, “.”, “_” and “-”, a letter or digit first",
        )
    paths.check_socket_paths(name)
    if paths.machine(name).data.exists():
        raise UsageError(f"there is a machine “{name}” already", hint="choose another name")


@contextmanager
def making(paths: Paths, name: str) -> Iterator[MachinePaths]:
    """A directory to make the machine in; it becomes the machine when the block ends well.

    Until then nobody lists it, and if the program dies, `clear_leftovers` takes it away.
    Its files must last (`sync_tree`) before the block ends.
    """
    check_new_name(paths, name)
    with workplace(paths, secrets.token_hex(6)) as directory:
        yield MachinePaths(directory, paths.runtime / name)
        _become(paths, directory, name)


@contextmanager
def workplace(paths: Paths, name: str) -> Iterator[Path]:
    """A new directory below `making`; where it is not renamed, it is gone at the end.

    `clear_leftovers` keeps away from it. In the moment before it is held it may be taken for a
    leftover: then it is made again.
    """
    paths.making.mkdir(mode=0o700, exist_ok=True)
    directory, descriptor = paths.making / name, -1
    while descriptor < 0:
        directory.mkdir(mode=0o700)
        descriptor = _hold(directory)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(descriptor)


def _hold(directory: Path) -> int:
    """A descriptor that keeps `clear_leftovers` away; -1 where that was quicker."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return -1
    flock(descriptor, LOCK_EX)
    if directory.exists():
        return descriptor
    os.close(descriptor)
    return -1


def sync_tree(directory: Path) -> None:
    """Make everything below a directory last; may take as long as its data is large."""
    for path in sorted(directory.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _become(paths: Paths, directory: Path, name: str) -> None:
    atomic.sync_directory(directory)
    try:
        directory.rename(paths.machine(name).data)
    except OSError as error:
        raise UsageError(f"there is a machine “{name}” already") from error
    atomic.sync_directory(paths.machines)


def remove(paths: Paths, machine: MachinePaths) -> None:
    """Take a machine away, its disks included: gone from the list first, then from the disk."""
    shutil.rmtree(machine.runtime, ignore_errors=True)
    shutil.rmtree(bury(paths, machine.data), ignore_errors=True)


def bury(paths: Paths, directory: Path) -> Path:
    """Move a directory to where it is no longer listed; returns its new place, to be removed."""
    paths.trash.mkdir(mode=0o700, exist_ok=True)
    grave = paths.trash / secrets.token_hex(6)
    directory.rename(grave)
    atomic.sync_directory(directory.parent)
    return grave


@contextmanager
def deleting(paths: Paths) -> Iterator[None]:
    """To delete needs a little room itself, on a disk that may be full: it is kept for that."""
    paths.ballast.unlink(missing_ok=True)
    try:
        yield
    finally:
        keep_ballast(paths)


def keep_ballast(paths: Paths) -> None:
    """Keep a little room for `deleting`."""
    if not paths.ballast.exists():
        with suppress(OSError):
            paths.ballast.write_bytes(os.urandom(_BALLAST))


_BALLAST = 64 * 1024
"""Bytes: some blocks for a history, a directory and their names."""


def clear_leftovers(paths: Paths) -> None:
    """Remove what a killed front-end left half made or half deleted."""
    keep_ballast(paths)
    for grave in paths.trash.glob("*"):
        shutil.rmtree(grave, ignore_errors=True)
    for directory in paths.making.glob("*"):
        with suppress(OSError):
            held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                flock(held, LOCK_EX | LOCK_NB)
                _clear_elsewhere(directory)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(held)


_ELSEWHERE = "elsewhere"
"""The file of a workplace that names what lies outside of the library: paths, each ended by 0."""


def note_elsewhere(workplace: Path, files: Iterable[Path]) -> None:
    """Unfinished files, called `….part`, that go with the workplace if the program dies."""
    with (workplace / _ELSEWHERE).open("ab") as noted:
        noted.write(b"".join(os.fsencode(file) + b"\0" for file in files))


def _clear_elsewhere(workplace: Path) -> None:
    with suppress(OSError):
        for name in (workplace / _ELSEWHERE).read_bytes().split(b"\0"):
            if name.endswith(b".part"):
                _clear_unfinished(Path(os.fsdecode(name)))


def _clear_unfinished(file: Path) -> None:
    """Unless somebody else has taken it over, and writes it."""
    with suppress(OSError):
        held = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            flock(held, LOCK_EX | LOCK_NB)
            file.unlink()
        finally:
            os.close(held)

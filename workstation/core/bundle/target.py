"""Where a bundle is written: a new file, one that is added to, or a pipe.

A new file has another name, and a lock, until it is whole; one that was left behind is taken away
by the next start of a front-end, or the next export to the same place.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workstation.core import atomic
from workstation.core.bundle import reader
from workstation.core.bundle.vault import Vault
from workstation.core.bundle.writer import BundleWriter
from workstation.core.host import media
from workstation.core.room import check_room
from workstation.errors import BusyError, HostError, UsageError
from workstation.model.bundle import Lock

SPARE = 2**20
"""Bytes of the target that stay free."""


def within(path: Path, name: str) -> Path:
    """Where the export of a machine goes: a file, or that machine's in a directory."""
    return path / f"{name}{reader.SUFFIX}" if path.is_dir() else path


def check_fits(path: Path, size: int, existing: int = 0) -> None:
    """Raise HostError where a bundle of that size cannot lie there; `existing` bytes do already."""
    directory = check_directory(path)
    media.check_fits(path, size)
    hint = "make room there, or make it smaller: --compress zstd, --no-memory, --tag"
    check_room(directory, size - existing, hint, spare=SPARE, what=path.name)


def check_directory(path: Path) -> Path:
    """Where the file is to lie; raises UsageError or HostError where nothing can."""
    directory = path.absolute().parent
    if not directory.is_dir():
        raise UsageError(f"there is no directory {directory}", hint="make it, or plug it in")
    if not os.access(directory, os.W_OK):
        raise HostError(f"{directory} cannot be written to", hint="choose another place")
    return directory


@contextmanager
def new_file(
    path: Path, identity: str, lock: Lock | None = None, vault: Vault | None = None
) -> Iterator[BundleWriter]:
    """A bundle that is there under its name once the block has ended well, and lasts."""
    path, temporary = path.absolute(), unfinished(path)
    descriptor = _held(temporary)
    try:
        os.ftruncate(descriptor, 0)
        yield BundleWriter.begin(descriptor, identity, lock=lock, vault=vault)
        _become(temporary, path)
        atomic.sync_directory(path.parent)
    finally:
        with suppress(FileNotFoundError):
            if os.path.samestat(temporary.stat(), os.fstat(descriptor)):
                temporary.unlink()
        os.close(descriptor)


def unfinished(path: Path) -> Path:
    """What a new file is called until it is whole."""
    return path.absolute().with_name(f".{path.name}.part")


def _held(temporary: Path) -> int:
    """A descriptor of the unfinished file that nobody else writes."""
    while True:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise BusyError(
                f"another export writes to {temporary.parent} under the same name",
                hint="wait for it, or choose another name",
            ) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(temporary.stat(), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)


def _become(temporary: Path, path: Path) -> None:
    if path.exists():
        raise UsageError(f"there is a file {path} by now", hint="choose another name")
    temporary.rename(path)


@contextmanager
def existing_file(path: Path, end: int) -> Iterator[BundleWriter]:
    """A bundle whose content ends there, to be added to; nobody else adds to it meanwhile.

    Where the block fails, the file is again as it was.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"another export writes to {path}", hint="wait for it") from None
        if reader.last_seal(path, descriptor, os.fstat(descriptor).st_size).end != end:
            raise BusyError(f"another export has added to {path}", hint="export again")
        writer = BundleWriter(descriptor, end)
        try:
            yield writer
        except BaseException:
            with suppress(OSError):
                writer.abandon(end)
            raise
    finally:
        os.close(descriptor)

"""Files that are there whole or not at all, and last."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_numbers = itertools.count()


def write(path: Path, text: str, *, lasting: bool = True) -> None:
    """Replace `path` by `text`: after a crash it holds the old content or the new, whole.

    Two writers at once do not mix: each has a temporary file of its own, the later rename wins.
    Without `lasting` that holds for a crash of this program only; `sync` makes up for it.
    """
    with prepared(path, text, lasting=lasting) as replace:
        replace()


@contextmanager
def prepared(path: Path, text: str, *, lasting: bool = True) -> Iterator[Callable[[], None]]:
    """`write` in two parts: the call replaces the file, and a full disk cannot hinder it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{next(_numbers)}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def replace() -> None:
        temporary.replace(path)
        if lasting:
            sync_directory(path.parent)

    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        yield replace
    finally:
        temporary.unlink(missing_ok=True)


def clear(directory: Path) -> None:
    """Remove what a `write` of a program that is gone has left there."""
    for file in directory.iterdir():
        ours = file.name.startswith(".") and file.name.endswith(".new")
        if ours and not Path("/proc", file.name.split(".")[-3]).exists():
            file.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make a file's content and its name last."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and new names in a directory last."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

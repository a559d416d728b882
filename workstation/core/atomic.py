"""Files that are there whole or not at all, and last."""

import os
from pathlib import Path


def write(path: Path, text: str, *, lasting: bool = True) -> None:
    """Replace `path` by `text`: after a crash it holds the old content or the new, whole.

    Two writers at once do not mix: each has a temporary file of its own, the later rename wins.
    Without `lasting` that holds for a crash of this program only; `sync` makes up for it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if lasting:
        sync_directory(path.parent)


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

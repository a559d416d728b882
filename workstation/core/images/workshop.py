"""A place beside the images to make one in; it becomes the image whole, or is gone."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".building-"

PART = ".part-"
"""What the directory of an unfinished download begins with; the image's name follows."""

LOCK = ".lock"


class Workshop:
    """A directory beside the images, held by a lock as long as its process works in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.out = path / "out"
        self.out.mkdir()
        self._held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._held)


def open_workshop(root: Path) -> Workshop:
    """A new one below the images' directory; what killed ones have left is swept away."""
    sweep(root)
    with locked(root, fcntl.LOCK_EX):
        return Workshop(Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=root)))


def install(root: Path, workshop: Workshop, target: Path) -> None:
    """What was made in the workshop takes the target's place."""
    with locked(root, fcntl.LOCK_EX):
        if target.exists():
            target.rename(workshop.path / "old")
        workshop.out.rename(target)
    _sync(root)


def take_away(root: Path, target: Path) -> None:
    """An image, or a person's own file, is no longer listed, then no longer there."""
    workshop = open_workshop(root)
    try:
        with locked(root, fcntl.LOCK_EX):
            target.rename(workshop.path / "old")
        _sync(root)
    finally:
        workshop.close()


@contextmanager
def locked(root: Path, how: int) -> Iterator[None]:
    """Held for the moment of two renames only, so waiting for it is short."""
    descriptor = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def forget_download(root: Path, name: str) -> bool:
    """Throw away what was downloaded of an image; whether there was anything."""
    found = list((root / f"{PART}{name}").glob("*"))
    for path in found:
        path.unlink(missing_ok=True)
    return bool(found)


def sweep(root: Path) -> None:
    """Remove what killed builds have left."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(root, fcntl.LOCK_EX):
        dead = [path for path in root.glob(f"{UNFINISHED}*") if not _held(path)]
    for path in dead:
        shutil.rmtree(path, ignore_errors=True)


def _held(path: Path) -> bool:
    """Whether a living process has that workshop, or is just removing it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _sync(root: Path) -> None:
    descriptor = os.open(root, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)

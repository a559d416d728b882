"""A person's own images: taken into the library, removed from it, looked at anew."""

import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.core.duplicate import adopt_file
from workstation.core.images.look import look
from workstation.core.images.manifest import digest
from workstation.core.images.workshop import forget_download, take_away
from workstation.errors import NotFoundError, UsageError, WorkstationError
from workstation.qemu import qcow2

if TYPE_CHECKING:
    from workstation.core.images.library import Images

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")


class How(Enum):
    COPY = "copy"
    """The file stays as it is, and may be changed afterwards."""
    MOVE = "move"
    """It is moved into the library: nothing is copied on the same disk."""
    LINK = "link"
    """It stays where it is too, and nothing is copied; it can only be read from then on."""


def name_of(file: Path) -> str:
    """The image's name after the file's, as far as it can be one."""
    stem = re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).strip("-._")
    return stem[:60]


def check(images: "Images", file: Path, name: str) -> None:
    """Raise an error unless the file could become the image of that name."""
    if not file.is_file():
        raise NotFoundError(f"there is no file {file}", hint="check the path")
    if not NAME.fullmatch(name):
        raise UsageError(
            f"“{name}” cannot be an image's name",
            hint="take up to 60 of a-z, 0-9, “.”, “_” and “-”: --name NAME",
        )
    if images.get(name) or name in images.own_files():
        raise UsageError(
            f"there is an image “{name}” already",
            hint=f"choose another: --name NAME; or first: workstation images remove {name}",
        )
    qcow2.format_of(file)
    look(file)


def take(file: Path, out: Path, how: How) -> str:
    """Put the file into the directory `out`; to be called in a thread. Returns where it was."""
    origin = str(file.absolute())
    ending = file.suffix.lower()
    kind = "disc" if ending == ".iso" else "disk"
    target = out / f"{kind}{'.raw' if ending == '.img' else ending}"
    if how is How.COPY:
        adopt_file(file, target, trusted=False)
    else:
        _second_name(file, target)
    look(target)
    target.chmod(0o400)
    if how is How.MOVE:
        file.unlink()
    return origin


def _second_name(file: Path, target: Path) -> None:
    try:
        target.hardlink_to(file.resolve())
    except OSError as error:
        raise WorkstationError(
            f"{file} cannot be taken as it is: {error.strerror}",
            hint="it has to be on the library's disk, and yours; or leave out --move and --link,"
            " and it is copied",
        ) from error


def remove(images: "Images", root: Path, name: str) -> None:
    """Take it out of the library, an unfinished download of it too."""
    directory = root / name
    own = images.own_files().get(name)
    named = NAME.fullmatch(name) is not None
    begun = named and forget_download(root, name)
    # Not by its manifest: that of a damaged one cannot be read.
    if named and directory.is_dir() and not directory.is_symlink():
        take_away(root, directory)
    elif own:
        take_away(root, own)
    elif not begun:
        raise NotFoundError(
            f"there is no image “{name}” here", hint="workstation images list names them"
        )


def verify(images: "Images", name: str) -> list[str]:
    """Compares every file with the SHA-256 that was taken when the image came."""
    image = images.get(name)
    if image is None:
        raise NotFoundError(
            f"there is no image “{name}” here", hint="workstation images list names them"
        )
    files = {name: image.path / name for name in image.files}
    return [
        name
        for name, path in files.items()
        if not path.is_file() or digest(path) != image.files[name]
    ]

"""A look at a file before it counts as an image; its content is never probed for a format."""

from pathlib import Path

from workstation.errors import InvalidError
from workstation.qemu import qcow2


def look(path: Path) -> None:
    """Refuse what would make QEMU open other files, or is not what its name says."""
    if path.suffix == ".qcow2":
        qcow2.check_self_contained(path)
    if path.suffix == ".iso" and not _is_disc(path):
        raise InvalidError(f"{path.name} is not a disc image", hint="look at what the file is")


_DESCRIPTORS = 32768
"""Where a disc's volume descriptors begin (ECMA-119, 7.2.1)."""


def _is_disc(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_DESCRIPTORS)
        # ISO 9660, or UDF only.
        return file.read(6)[1:] in (b"CD001", b"BEA01")

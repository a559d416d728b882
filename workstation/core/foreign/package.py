"""The files of an OVF package: an OVA (a tar), or a directory with an .ovf in it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from workstation.core.foreign import manifest, tar, xml
from workstation.core.foreign.piece import Piece
from workstation.errors import InvalidError

DESCRIPTION = ".ovf"


class Package:
    """What an OVF description can refer to, by plain names only. Open it with `with`."""

    def __init__(self, path: Path) -> None:
        """`path` is an OVA, an .ovf, or the directory of one."""
        self.path = path
        self._opened = ExitStack()
        self._archive: Piece | None = None
        self._members: dict[str, tar.Member] = {}
        self._place = path

    def __enter__(self) -> Self:
        try:
            self.name = self._find()
        except BaseException:
            self._opened.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _find(self) -> str:
        """The description's name."""
        if self.path.is_dir():
            found = sorted(one.name for one in self.path.iterdir() if _is_description(one.name))
        else:
            archive = self._opened.enter_context(Piece(self.path))
            if not tar.is_tar(archive):
                self._place = self.path.parent
                return self.path.name
            self._archive, self._members = archive, tar.members(archive)
            found = [name for name in self._members if _is_description(name)]
        if len(found) != 1:
            raise InvalidError(
                f"{self.path} has {len(found)} descriptions ({DESCRIPTION}), and should have one"
            )
        return found[0]

    def has(self, name: str) -> bool:
        if self._archive:
            return name in self._members
        return "/" not in name and (self._place / name).is_file()

    def open(self, name: str) -> Piece:
        """A file of the package, open as long as the package is; raises InvalidError."""
        if not self._archive:
            piece = self._beside(name)
        elif name in self._members:
            piece = self._archive.part(name, *self._members[name])
        else:
            raise self._missing(name)
        return self.keep(piece)

    def keep(self, piece: Piece) -> Piece:
        """Keep it open as long as the package is."""
        return self._opened.enter_context(piece)

    def _beside(self, name: str) -> Piece:
        if "/" in name or name in ("", ".", "..") or "\0" in name:
            raise InvalidError(f"{self.name} names “{name}”, which is no plain name of a file")
        path = self._place / name
        if path.is_symlink():
            raise InvalidError(f"{path} is a link", hint="put the file itself there")
        if not path.exists():
            raise self._missing(name)
        return Piece(path)

    def _missing(self, name: str) -> InvalidError:
        return InvalidError(
            f"{self.name} names “{name}”, which is not in {self._place}",
            hint="fetch it again, with all its files",
        )

    def description(self) -> bytes:
        """The text of the .ovf."""
        return self.open(self.name).read(0, xml.MOST_BYTES + 1)

    def digests(self) -> manifest.Digests:
        """What the manifest says of each file; empty where there is none."""
        name = self.name[: -len(DESCRIPTION)] + ".mf"
        if not self.has(name):
            return {}
        raw = self.open(name).read(0, manifest.MOST_BYTES)
        return manifest.parse_manifest(raw.decode("utf-8", "replace"), name)

    def chunks(self, name: str) -> Iterator[str]:
        """The names of a file that was cut into pieces: `NAME.000000000`, and so on."""
        number = 0
        while self.has(part := f"{name}.{number:09}"):
            number += 1
            yield part
        if not number:
            raise self._missing(f"{name}.000000000")


def _is_description(name: str) -> bool:
    return name.lower().endswith(DESCRIPTION)

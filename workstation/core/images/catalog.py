"""The catalog: what is known of images that can be had, shipped and the person's own.

A file each: `images/NAME.yaml`, and `$XDG_CONFIG_HOME/workstation/images/NAME.yaml`. One of the
person's with the name of a shipped one takes its place.
"""

from dataclasses import dataclass
from pathlib import Path

from workstation.errors import NotFoundError, WorkstationError
from workstation.model.image import CatalogImage
from workstation.model.text import safe_line
from workstation.paths import Paths, shipped
from workstation.profile.load import parse, read_text
from workstation.profile.problems import Problem, ProfileError
from workstation.profile.yaml_source import read

_SUFFIXES = (".yaml", ".yml")
_HINT = "docs/images.md says what each key may hold"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the catalog."""

    name: str
    path: Path
    image: CatalogImage | None
    problem: str = ""
    """Why it cannot be read; the first line, where there are several."""


class Catalog:
    """All files, each read once, when it is asked for."""

    def __init__(self, paths: Paths) -> None:
        self._directories = (shipped("images"), paths.config / "images")

    def names(self) -> list[str]:
        return sorted(self._files())

    def entries(self) -> list[Entry]:
        """By name, those that cannot be read included."""
        return [_entry(name, path) for name, path in sorted(self._files().items())]

    def get(self, name: str) -> CatalogImage | None:
        """None where there is none of that name; raises InvalidError for one with problems."""
        path = self._files().get(name)
        return load(path) if path else None

    def find(self, name: str) -> CatalogImage:
        """Raises NotFoundError, which names what was probably meant, or InvalidError."""
        if found := self.get(name):
            return found
        from workstation.profile.translate import nearest

        meant = nearest(name, self.names())
        raise NotFoundError(
            f"the catalog has no image “{safe_line(name, limit=60)}”",
            hint=f"did you mean “{meant}”?" if meant else "workstation images list names them",
        )

    def _files(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for directory in self._directories:
            if directory.is_dir():
                entries = sorted(directory.iterdir())
                found |= {path.stem: path for path in entries if path.suffix in _SUFFIXES}
        return found


def load(path: Path) -> CatalogImage:
    """The image that a file describes; raises ProfileError with every problem."""
    text = read_text(path)
    image = parse(CatalogImage, text, str(path), hint=_HINT)
    if image.name != path.stem:
        spot = read(text, str(path)).spot(("name",))
        what = f"the file of “{image.name}” is to be called {image.name}{path.suffix}"
        problem = Problem(str(path), spot.line, spot.column, "name", what)
        raise ProfileError(str(path), [problem], hint=_HINT)
    return image


def _entry(name: str, path: Path) -> Entry:
    try:
        return Entry(name, path, load(path))
    except ProfileError as error:
        return Entry(name, path, None, problem=str(error.problems[0]))
    except WorkstationError as error:
        return Entry(name, path, None, problem=str(error))

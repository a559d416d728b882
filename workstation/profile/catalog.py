"""Where profiles are: the person's own, then the shipped ones; a name of both is the person's."""

from dataclasses import dataclass
from pathlib import Path

from workstation.errors import NotFoundError, UsageError, WorkstationError
from workstation.model.text import safe_line
from workstation.paths import Paths, shipped
from workstation.profile.load import load_profile
from workstation.profile.problems import ProfileError

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """A profile that can be made into a machine: shipped, or the person's own."""

    name: str
    """By which it is asked for: its file's name without the suffix."""
    path: Path
    description: str
    problem: str = ""
    """Why it cannot be loaded; the first line, where there are several."""


def list_profiles(paths: Paths) -> list[ProfileEntry]:
    """All profiles by name, those that do not load included."""
    return [_entry(name, path) for name, path in sorted(_files(paths).items())]


def list_at(path: Path) -> list[ProfileEntry]:
    """The profiles that lie in a directory, such as a checkout; of a file, that one.

    Raises NotFoundError where there is none.
    """
    if not path.is_dir():
        return [_entry(path.stem, path)]
    directory = path
    found = [_entry(path.stem, path) for path in _in(directory)]
    if not found:
        raise NotFoundError(
            f"there is no profile in {safe_line(str(directory))}",
            hint="profiles are files that end in .yaml",
        )
    return found


def _in(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.iterdir()) if path.suffix in _SUFFIXES]


def _only_one(directory: Path) -> Path:
    """Of a directory that was given for a profile."""
    paths = [entry.path for entry in list_at(directory)]
    if len(paths) > 1:
        known = ", ".join(str(path) for path in paths[:10])
        raise UsageError(
            f"{safe_line(str(directory))} has {len(paths)} profiles", hint=f"name one: {known}"
        )
    return paths[0]


def find_profile(paths: Paths, name_or_path: str) -> Path:
    """The file of a profile: a path if it holds a “/” or ends in .yaml, else a name.

    A directory stands for the one profile in it. Raises NotFoundError, which lists the names there
    are, or UsageError for a directory of several.
    """
    if "/" in name_or_path or name_or_path.endswith(_SUFFIXES):
        path = Path(name_or_path).expanduser()
        if not path.exists():
            raise NotFoundError(
                f"there is no file {safe_line(name_or_path)}", hint="check the path"
            )
        return _only_one(path) if path.is_dir() else path
    files = _files(paths)
    if name_or_path not in files:
        raise _unknown(name_or_path, sorted(files))
    return files[name_or_path]


def _files(paths: Paths) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for directory in (shipped("profiles"), paths.profiles):
        if directory.is_dir():
            found |= {path.stem: path for path in _in(directory)}
    return found


def _entry(name: str, path: Path) -> ProfileEntry:
    try:
        return ProfileEntry(name, path, load_profile(path).description)
    except ProfileError as error:
        return ProfileEntry(name, path, "", problem=str(error.problems[0]))
    except WorkstationError as error:
        return ProfileEntry(name, path, "", problem=str(error))


def _unknown(name: str, known: list[str]) -> NotFoundError:
    from workstation.profile.translate import nearest

    meant = nearest(name, known)
    question = f"did you mean “{meant}”? " if meant else ""
    return NotFoundError(
        f"there is no profile “{safe_line(name, limit=60)}”",
        hint=f"{question}there are: {', '.join(known) or 'none'}",
    )

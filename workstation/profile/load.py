"""Profiles and machine files: from text to values, or every problem at once."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from workstation.errors import InvalidError, NotFoundError
from workstation.model.machine import Definition
from workstation.model.profile import Profile
from workstation.profile.problems import Problem, ProfileError
from workstation.profile.yaml_source import MOST_BYTES, Source, read

Model = TypeVar("Model", bound=BaseModel)

_HINTS: dict[type[BaseModel], str] = dict.fromkeys(
    (Profile, Definition), "what each key may hold: workstation profile schema"
)


def load_profile(path: Path) -> Profile:
    """The profile in a file; raises ProfileError, NotFoundError or InvalidError."""
    return parse_profile(read_text(path), str(path))


def load_definition(path: Path) -> Definition:
    """The machine in a file; raises as `load_profile` does."""
    return parse_definition(read_text(path), str(path))


def parse_profile(text: str, file: str) -> Profile:
    """The profile that the YAML describes; `file` names it in problems. Raises ProfileError."""
    return parse(Profile, text, file)


def parse_definition(text: str, file: str) -> Definition:
    """The machine that the YAML describes; raises ProfileError."""
    return parse(Definition, text, file)


def parse(model: type[Model], text: str, file: str, *, hint: str = "") -> Model:
    """The value of that kind that the YAML describes; raises ProfileError with `hint`."""
    return validate(model, read(text, file), hint=hint)


def validate(model: type[Model], source: Source, *, hint: str = "") -> Model:
    """The value that a text holds; raises ProfileError with every problem."""
    hint = hint or _HINTS.get(model, "")
    if source.data is None:
        if not source.problems:
            source.add(source.spot(()), (), "there is nothing in this file")
        raise ProfileError(source.file, source.problems, hint=hint)
    problems = list(source.problems)
    try:
        value = model.model_validate(source.data)
    except ValidationError as error:
        # Needed only when something is wrong.
        from workstation.profile.translate import problems_of

        problems += problems_of(model, source, error)
    if problems:
        raise ProfileError(source.file, problems, hint=hint)
    return value


def read_text(path: Path) -> str:
    """The text of a file of modest size; raises NotFoundError, InvalidError or ProfileError."""
    try:
        if path.exists() and not path.is_file():
            raise InvalidError(f"{path} is not a file", hint="name a YAML file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}", hint="check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its path cannot be used"
        raise InvalidError(f"{path} cannot be read: {reason}", hint="check its mode") from None
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ProfileError(str(path), [_not_text(str(path), content, error.start)]) from None


def _not_text(file: str, content: bytes, at: int) -> Problem:
    if len(content) > MOST_BYTES:
        return Problem(file, 1, 1, "", f"larger than {MOST_BYTES // 1024} KiB: not a profile")
    line = content.count(b"\n", 0, at) + 1
    column = len(content[:at].rpartition(b"\n")[2].decode(errors="replace")) + 1
    return Problem(file, line, column, "", "this is not text in UTF-8")

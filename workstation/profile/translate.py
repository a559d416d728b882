"""What pydantic found wrong, in plain sentences with places."""

import copy
import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from workstation.model.misfit import Misfit, MisfitError
from workstation.profile.keys import Path, dotted, parse_key, touches
from workstation.profile.problems import MOST_PROBLEMS, Problem, quoted
from workstation.profile.schema import Node, keys_called, node_at
from workstation.profile.yaml_source import Source

Model = TypeVar("Model", bound=BaseModel)

_OTHER_WORDS: Mapping[str, str] = {
    "ram": "memory",
    "mem": "memory",
    "disk": "drives",
    "disks": "drives",
    "hdd": "drives",
    "nics": "networks",
    "net": "networks",
    "ports": "networks[0].forwards",
    "os": "family",
    "uefi": "boot.firmware",
    "vga": "display.adapter",
    "vcpus": "cpu.cores",
}
"""Words that other programs have for a key of ours."""

_SPELLINGS: Mapping[str, str] = {
    **dict.fromkeys(("yes", "on", "y"), "true"),
    **dict.fromkeys(("no", "off", "n"), "false"),
}

_MOST_ROUNDS = 4
"""Sections lie three deep; each round can uncover the clashes of the one around."""


def problems_of(model: type[BaseModel], source: Source, error: ValidationError) -> list[Problem]:
    """Every problem of a text whose values did not validate."""
    errors = error.errors(include_url=False)[: MOST_PROBLEMS + 1]
    found = [
        problem
        for one in errors
        if not _spoiled(source, one["loc"])
        for problem in _translate(model, source, one)
    ]
    return [*found, *_hidden_misfits(model, source, errors)]


def _spoiled(source: Source, path: Path) -> bool:
    return any(path[: len(gap)] == gap for gap in source.spoiled)


def _translate(model: type[BaseModel], source: Source, error: ErrorDetails) -> Iterator[Problem]:
    path = error["loc"]
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, MisfitError):
        yield from (_misfit(source, path, misfit) for misfit in cause.misfits)
    elif error["type"] == "extra_forbidden":
        yield _unknown_key(model, source, path)
    elif error["type"] == "missing":
        allowed = allowed_words(node_at(model, path))
        yield _problem(source, path, "this key is missing", key=True, allowed=allowed)
    elif isinstance(cause, ValueError):
        found = "" if isinstance(error["input"], dict) else quoted(error["input"])
        yield _problem(source, path, str(cause), found=found)
    else:
        yield _wrong_value(model, source, path, error["input"])


def _problem(
    source: Source, path: Path, message: str, *, key: bool = False, **rest: str
) -> Problem:
    spot = source.spot(path, key=key)
    return Problem(source.file, spot.line, spot.column, dotted(path), message, **rest)


def _misfit(source: Source, section: Path, misfit: Misfit) -> Problem:
    return _problem(source, section + parse_key(misfit.at), misfit.what)


def _unknown_key(model: type[BaseModel], source: Source, path: Path) -> Problem:
    known = list(node_at(model, path[:-1]).get("properties", ()))
    return _problem(
        source,
        path,
        "unknown key",
        key=True,
        allowed=", ".join(known),
        suggestion=_meant_key(model, path, known),
    )


def _meant_key(model: type[BaseModel], path: Path, known: list[str]) -> str:
    name = str(path[-1])[:60].lower().replace("-", "_")
    if close := nearest(name, known, 0.8):
        return close
    elsewhere = keys_called(model, name)
    if len(elsewhere) == 1:
        return elsewhere[0]
    other = _OTHER_WORDS.get(name, "") if len(path) == 1 else ""
    return other or nearest(name, known)


def nearest(word: str, known: Iterable[str], alike: float = 0.6) -> str:
    """The one that was probably meant, or nothing; `alike` is difflib's ratio."""
    return next(iter(difflib.get_close_matches(word[:60], list(known), 1, alike)), "")


def _wrong_value(model: type[BaseModel], source: Source, path: Path, value: Any) -> Problem:
    node = node_at(model, path)
    message, suggestion = "", ""
    if isinstance(value, str):
        suggestion = _meant_value(node, value)
        if suggestion == value:
            message, suggestion = "write it without quotes", ""
    elif _is_text(node) and isinstance(value, bool | int | float):
        message = "text is needed: put it in quotes"
    return _problem(
        source,
        path,
        message,
        found=quoted(value),
        allowed="" if message else allowed_words(node),
        suggestion=suggestion,
    )


def _is_text(node: Node) -> bool:
    return "string" in node.get("type", "") and "enum" not in node


def _meant_value(node: Node, value: str) -> str:
    word = value.strip().lower()
    if node.get("type") == "boolean":
        return _SPELLINGS.get(word, nearest(word, ("true", "false")))
    if node.get("type") == "integer":
        return word if word.isascii() and word.isdecimal() and len(word) < 6 else ""
    return nearest(word, node.get("enum", ()))


def allowed_words(node: Node) -> str:
    """What a key may hold, for a person."""
    if "patternErrorMessage" in node:
        return str(node["patternErrorMessage"])
    if "enum" in node:
        return ", ".join(node["enum"])
    if "properties" in node:
        return f"a section with {', '.join(node['properties'])}"
    match node.get("type"):
        case "boolean":
            return "true, false"
        case "integer":
            return f"whole numbers from {node.get('minimum')} to {node.get('maximum')}"
        case "number":
            return f"numbers from {node.get('minimum')} to {node.get('maximum')}"
        case "array":
            return (
                f"a list of at most {node['maxItems']} entries" if "maxItems" in node else "a list"
            )
        case "string" if "format" in node:
            return {"uuid": "a UUID", "date-time": "a date and time"}.get(node["format"], "text")
        case "string" if "maxLength" in node:
            return f"text of at most {node['maxLength']} characters"
    return "text" if node else ""


def _hidden_misfits(
    model: type[BaseModel], source: Source, errors: list[ErrorDetails]
) -> Iterator[Problem]:
    """Clashes that pydantic did not come to, since it stops at a section's first errors.

    The values that it refused are left out, and what remains is checked once more; a clash
    that has to do with one of them is not reported.
    """
    refused = [error["loc"] for error in errors]
    if not isinstance(source.data, dict) or () in refused:
        return
    for _ in range(_MOST_ROUNDS):
        try:
            model.model_validate(_without(source.data, refused))
        except ValidationError as error:
            further = error.errors(include_url=False)[: MOST_PROBLEMS + 1]
        else:
            return
        for one in further:
            cause = one.get("ctx", {}).get("error")
            if isinstance(cause, MisfitError) and one["loc"] not in refused:
                yield from _untouched(source, one["loc"], cause, refused)
        refused += [one["loc"] for one in further]


def _untouched(
    source: Source, section: Path, error: MisfitError, refused: list[Path]
) -> Iterator[Problem]:
    for misfit in error.misfits:
        keys = [section + parse_key(key) for key in (misfit.at, *misfit.others) if key]
        if not any(touches(key, gone) for key in keys for gone in refused):
            yield _misfit(source, section, misfit)


def _without(data: dict[str, Any], refused: list[Path]) -> dict[str, Any]:
    """A copy without those values: the key goes, or the whole list where it was an entry."""
    kept = copy.deepcopy(data)
    for path in refused:
        _remove(kept, path)
    return kept


def _remove(data: Any, path: Path) -> None:
    section, key = None, None
    for step in path:
        if isinstance(data, dict):
            section, key = data, step
        try:
            data = data[step]
        except (LookupError, TypeError):
            break
    if section is None:
        return
    if key == "name":
        section[key] = "unnamed"  # the one key that a profile must have
    else:
        section.pop(key, None)

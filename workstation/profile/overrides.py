"""`key=value`: single changes to a profile, read as strictly as a file."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from workstation.errors import UsageError
from workstation.model.profile import Profile
from workstation.model.text import safe_line
from workstation.profile.keys import Path, parse_key, touches
from workstation.profile.load import validate
from workstation.profile.problems import Problem, ProfileError
from workstation.profile.yaml_source import Source, read

_HINT = "such as memory='2 GiB', cpu.cores=4 or 'drives[0].size=20 GiB'"
_NO_PLACE = "there is no such place in the profile"
_WHAT = "what is to be set"


def apply_overrides(
    profile: Profile, settings: Iterable[str], *, said: Mapping[str, str] | None = None
) -> Profile:
    """The profile with each `key=value` set, in order.

    The index after the last adds an entry to a list, and `null` takes the last one away.
    `said` has the words that a setting stands for where those were others: `--memory 2`.

    Raises UsageError for a text that is no `key=value`, ProfileError for what the profile
    does not allow; its problems name the text.
    """
    data = profile.model_dump(mode="json")
    paths: dict[Path, str] = {}
    problems: list[Problem] = []
    for setting in settings:
        path, text = _split(setting)
        name = (said or {}).get(setting) or safe_line(setting, limit=80)
        source = read(text, name)
        if not source.problems and (wrong := _put(data, path, source.data)):
            source.problems = [Problem(name, 0, 0, "", wrong)]
        problems += [replace(problem, line=0, column=0, key="") for problem in source.problems]
        paths[path] = name
    problems += _check(data, paths)
    if problems:
        raise ProfileError(_WHAT, problems, hint=_HINT)
    return Profile.model_validate(data)


def _split(setting: str) -> tuple[Path, str]:
    key, equals, text = setting.partition("=")
    try:
        path = parse_key(key.strip())
    except ValueError:
        path = ()
    if not (path and equals):
        raise UsageError(f"“{safe_line(setting, limit=80)}” is not key=value", hint=_HINT)
    return path, text


def _put(data: Any, path: Path, value: Any) -> str:
    """Set a value in plain data, making sections on the way; what is wrong, or nothing."""
    for step, after in zip(path, (*path[1:], None), strict=True):
        if isinstance(step, int):
            if not isinstance(data, list) or step > len(data):
                return _NO_PLACE
            if after is None and value is None:
                return _take_last(data, step)
            if step == len(data):
                data.append(None)
        elif not isinstance(data, dict):
            return _NO_PLACE
        if after is None:
            data[step] = value
        else:
            data = _inside(data, step, [] if isinstance(after, int) else {})
    return ""


def _take_last(data: list[Any], number: int) -> str:
    """What stands behind another entry would get its number, and a drive so another's disk."""
    if number != len(data) - 1:
        return "only the last entry of a list can be taken away"
    data.pop()
    return ""


def _inside(data: Any, step: str | int, empty: Any) -> Any:
    if isinstance(step, str):
        return data.setdefault(step, empty)
    if data[step] is None:
        data[step] = empty
    return data[step]


def _check(data: dict[str, Any], paths: dict[Path, str]) -> list[Problem]:
    try:
        validate(Profile, Source(_WHAT, data))
    except ProfileError as error:
        return [_named(problem, paths) for problem in error.problems]
    return []


def _named(problem: Problem, paths: dict[Path, str]) -> Problem:
    """The problem with the setting that it comes from instead of a place in a file."""
    try:
        at = parse_key(problem.key)
    except ValueError:
        at = ()
    names = [name for path, name in paths.items() if at and touches(path, at)]
    return replace(problem, file=names[-1] if names else _WHAT, line=0, column=0)

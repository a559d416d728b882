"""`--set key=value`: single changes to a profile, read as strictly as a file."""

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

_HINT = "such as --set 'memory=2 GiB', --set cpu.cores=4 or --set 'drives[0].size=20 GiB'"


def apply_overrides(
    profile: Profile, settings: Iterable[str], *, said: Mapping[str, str] | None = None
) -> Profile:
    """The profile with each `key=value` set, in order; the index after the last adds an entry.

    `said` has the words that a setting stands for where those were others: `--memory 2`.

    Raises UsageError for a text that is no `key=value`, ProfileError for what the profile
    does not allow; its problems name the text.
    """
    data = profile.model_dump(mode="json")
    paths: dict[Path, str] = {}
    problems: list[Problem] = []
    for setting in settings:
        path, text = _split(setting)
        name = (said or {}).get(setting) or f"--set {safe_line(setting, limit=80)}"
        source = read(text, name)
        if not (source.problems or _put(data, path, source.data)):
            source.problems = [Problem(name, 0, 0, "", "there is no such place in the profile")]
        problems += [replace(problem, line=0, column=0, key="") for problem in source.problems]
        paths[path] = name
    problems += _check(data, paths)
    if problems:
        raise ProfileError("--set", problems, hint=_HINT)
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


def _put(data: Any, path: Path, value: Any) -> bool:
    """Set a value in plain data, making sections on the way; whether there is room for it."""
    for step, after in zip(path, (*path[1:], None), strict=True):
        if isinstance(step, int):
            if not isinstance(data, list) or step > len(data):
                return False
            if step == len(data):
                data.append(None)
        elif not isinstance(data, dict):
            return False
        if after is None:
            data[step] = value
        else:
            data = _inside(data, step, [] if isinstance(after, int) else {})
    return True


def _inside(data: Any, step: str | int, empty: Any) -> Any:
    if isinstance(step, str):
        return data.setdefault(step, empty)
    if data[step] is None:
        data[step] = empty
    return data[step]


def _check(data: dict[str, Any], paths: dict[Path, str]) -> list[Problem]:
    try:
        validate(Profile, Source("--set", data))
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
    return replace(problem, file=names[-1] if names else "--set", line=0, column=0)

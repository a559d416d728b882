"""Where two profiles differ, key by key; and a profile with some of another's keys."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from workstation.model.profile import Profile
from workstation.model.text import safe_line
from workstation.profile.keys import Path


def difference(old: Profile, new: Profile) -> list[Path]:
    """The keys that differ. A list of words is one key; so is an entry that only one has."""
    return list(_walk((), old.model_dump(mode="json"), new.model_dump(mode="json")))


def _walk(path: Path, old: Any, new: Any) -> Iterator[Path]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in new:
            yield from _walk((*path, key), old.get(key), new[key])
    elif isinstance(old, list) and isinstance(new, list) and not _words(old + new):
        for number, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from _walk((*path, number), one, other)
        for number in range(min(len(old), len(new)), max(len(old), len(new))):
            yield (*path, number)
    else:
        yield path


def _words(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def taken_over(old: Profile, new: Profile, paths: Iterable[Path]) -> Profile:
    """`old` with what `new` has at those keys."""
    data, source = old.model_dump(mode="json"), new.model_dump(mode="json")
    for path in paths:
        _copy(data, source, path)
    return Profile.model_validate(data)


def _copy(data: Any, source: Any, path: Path) -> None:
    for step in path[:-1]:
        data, source = data[step], source[step]
    last = path[-1]
    if not isinstance(last, int):
        data[last] = copy.deepcopy(source[last])
    elif last < len(source):
        data[last : last + 1] = [copy.deepcopy(source[last])]
    else:
        del data[last:]


def value_at(profile: Profile, path: Path) -> str:
    """What a key holds, in a line."""
    found: Any = profile.model_dump(mode="json", exclude_none=True)
    try:
        for step in path:
            found = found[step]
    except (LookupError, TypeError):
        return "none"
    return safe_line(_said(found), limit=120)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_said(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_said, value)) or "none"
    return str(value)

"""A strict little YAML: text to plain values, with the place of each.

What people write by hand is read: mappings, lists, scalars. What makes YAML dangerous or
surprising is a problem instead: anchors and aliases, merge keys, tags, keys given twice, several
documents, great depth or size. Scalars follow the core schema of YAML 1.2 (section 10.3.2), so
`8080:22` and `no` are text, not a number in base 60 and a false.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from workstation.model.text import safe_line
from workstation.profile.keys import Path, dotted
from workstation.profile.problems import Problem

MOST_BYTES = 256 * 1024
MOST_DEPTH = 16
MOST_VALUES = 5_000
MOST_DIGITS = 18

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What section 5.1 of the specification does not call printable."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

NULL = re.compile(r"~|null|Null|NULL|")
BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)"
                   r"|\.(nan|NaN|NAN)")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the text, from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Source:
    """What a text says: the values, where they stand, and what is wrong with its YAML."""

    file: str
    data: Any = None
    keys: dict[Path, Spot] = field(default_factory=dict)
    """Where each key stands; for an entry of a list, its value."""
    values: dict[Path, Spot] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    spoiled: set[Path] = field(default_factory=set)
    """Values that were left out because of a problem."""

    def spot(self, path: Path, *, key: bool = False) -> Spot:
        """Where the value (or its key) stands, or the nearest section around it."""
        for length in range(len(path), 0, -1):
            places = self.keys if key or length < len(path) else self.values
            if path[:length] in places:
                return places[path[:length]]
        return self.values.get((), Spot(1, 1))

    def add(self, spot: Spot, path: Path, message: str) -> None:
        key = dotted(path)
        self.problems.append(Problem(self.file, spot.line, spot.column, key, message))


class _StopError(Exception):
    """Reading on is not worth it; the problem is noted."""


def read(text: str, file: str) -> Source:
    """Read a text. Never raises: what is wrong is in `problems`, and then `data` has gaps.

    A text without any value gives None and no problem.
    """
    source = Source(file)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        source.add(Spot(1, 1), (), "this is not text in UTF-8")
        return source
    if size > MOST_BYTES:
        source.add(Spot(1, 1), (), f"larger than {MOST_BYTES // 1024} KiB: this is not a profile")
        return source
    try:
        _Reader(text.removeprefix("\ufeff"), source).document()
    except _StopError:
        pass
    except yaml.MarkedYAMLError as error:
        _syntax_problem(source, error)
    except yaml.YAMLError:
        _character_problem(source, text)
    return source


class _Reader:
    """Walks the parser's events; one method a kind of node."""

    def __init__(self, text: str, source: Source) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
        self._source = source
        self._count = 0

    def document(self) -> None:
        next(self._events)  # the stream's start
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return
        self._source.data = self._node(next(self._events), ())
        next(self._events)  # the document's end
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            self._source.add(_spot(event), (), "a second document begins here; one is allowed")

    def _node(self, event: Any, path: Path) -> Any:
        self._source.values[path] = _spot(event)
        self._source.keys.setdefault(path, _spot(event))
        self._check_limits(event, path)
        if isinstance(event, yaml.AliasEvent):
            return self._refuse(event, path, "aliases (*…) are not allowed here")
        if event.anchor:
            self._refuse(event, path, "anchors (&…) are not allowed here")
        if event.tag:
            self._refuse(event, path, "tags (!…) are not allowed here")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return self._scalar(event, path)

    def _mapping(self, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path)
            if key is None:
                self._skip(next(self._events))
            elif key in values:
                first = self._source.keys[*path, key].line
                self._source.add(_spot(event), (*path, key), f"given twice; first in line {first}")
                self._skip(next(self._events))
            else:
                self._source.keys[*path, key] = _spot(event)
                values[key] = self._node(next(self._events), (*path, key))
        return values

    def _key(self, event: Any, path: Path) -> str | None:
        """The text of a key; None where it is refused, with its own events read."""
        spot = _spot(event)
        if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag:
            self._skip(event)
            self._source.add(spot, path, "a key is a plain word here")
            return None
        if event.value == "<<" and event.implicit[0]:
            self._source.add(spot, path, "merge keys (<<) are not allowed here")
            return None
        return str(event.value)

    def _sequence(self, path: Path) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._node(event, (*path, len(values))))
        return values

    def _scalar(self, event: Any, path: Path) -> Any:
        if not event.implicit[0]:  # quoted, or a block
            return event.value
        value = plain_value(event.value)
        if isinstance(value, int) and len(event.value) > MOST_DIGITS:
            return self._refuse(event, path, f"a number has at most {MOST_DIGITS} digits")
        return value

    def _refuse(self, event: Any, path: Path, message: str) -> None:
        self._source.add(_spot(event), path, message)
        self._source.spoiled.add(path)

    def _check_limits(self, event: Any, path: Path) -> None:
        self._count += 1
        message = ""
        if self._count > MOST_VALUES:
            message = f"more than {MOST_VALUES} values: this is not a profile"
        elif len(path) > MOST_DEPTH:
            message = f"nested deeper than {MOST_DEPTH} levels: this is not a profile"
        if message:
            self._source.add(_spot(event), (), message)
            raise _StopError

    def _skip(self, event: Any) -> None:
        """Read to the end of the node that begins with the event."""
        depth = 0
        while True:
            self._check_limits(event, ())
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth == 0:
                return
            event = next(self._events)


def plain_value(text: str) -> Any:
    """What an unquoted scalar means in YAML's core schema."""
    if NULL.fullmatch(text):
        return None
    if BOOL.fullmatch(text):
        return text.lower() == "true"
    if len(text) > MOST_DIGITS and text.lstrip("+-").isdecimal() and text.isascii():
        return 0  # an int; the caller refuses its length
    if INT.fullmatch(text):
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text, base)
    if FLOAT.fullmatch(text):
        return float(re.sub(r"\.(inf|nan)", r"\1", text, flags=re.IGNORECASE))
    return text


def _spot(event: Any) -> Spot:
    mark = event.start_mark
    return Spot(mark.line + 1, mark.column + 1)


_SAYINGS = {
    "mapping values are not allowed": "a “:” stands where none may; put text that holds one"
    " in quotes, or check the indentation",
    "found character that cannot start any token": "this character cannot begin a value: indent"
    " with spaces, not tabs, and put the text in quotes",
    "could not find expected :": "a “:” is missing after a key",
    "did not find expected key": "the indentation is off here, or a key is missing",
    "expected <block end>": "the indentation is off here, or a key is missing",
    "did not find expected - indicator": "the indentation of this list is off",
    "did not find expected , or": "a “,” or the closing bracket is missing",
    "expected , or": "a “,” or the closing bracket is missing",
    "did not find expected node content": "a value is missing or begins with a sign that must"
    " be in quotes",
    "expected <document start>": "text goes on after the end of the value",
    "found unexpected end of stream": "a quotation mark is never closed",
    "unexpected end of stream": "a quotation mark is never closed",
}
"""The words of both parsers, C and Python, without quotation marks, and what they mean."""


def _syntax_problem(source: Source, error: yaml.MarkedYAMLError) -> None:
    mark = error.problem_mark or error.context_mark
    spot = Spot(mark.line + 1, mark.column + 1) if mark else Spot(1, 1)
    words = error.problem or "unreadable"
    bare = words.replace("'", "")
    known = (said for part, said in _SAYINGS.items() if part in bare)
    source.add(spot, (), "not YAML: " + next(known, safe_line(words, limit=100)))
    source.data = None


def _character_problem(source: Source, text: str) -> None:
    """A character that YAML forbids; the parsers disagree on its place, so it is looked for."""
    match = _FORBIDDEN.search(text)
    at = match.start() if match else 0
    line, column = text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
    name = f"U+{ord(text[at]):04X}" if match else "of some kind"
    source.add(Spot(line, column), (), f"not YAML: a control character ({name}) stands here")
    source.data = None

"""The keys that are the program's while all others go to a guest."""

from __future__ import annotations

_NAMES = {
    "]": "right_square_bracket",
    "[": "left_square_bracket",
    "\\": "backslash",
    "^": "circumflex_accent",
    "_": "underscore",
    "@": "at",
}


def textual_key(key: str) -> str:
    """`ctrl+]`, as people and the settings write it, as Textual calls it."""
    *modifiers, name = key.split("+")
    return "+".join([*modifiers, _NAMES.get(name, name)])

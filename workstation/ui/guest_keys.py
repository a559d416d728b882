"""The keys that are the program's while all others go to a guest."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

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


def hints(keys: Iterable[tuple[str, str]]) -> Content:
    """Keys and what they do, as status lines show them."""
    return Content("").join(
        Content.assemble((f" {key}", "bold $footer-key-foreground"), f" {word} ")
        for key, word in keys
    )

"""A key of the terminal as a key of the guest."""

from __future__ import annotations

import re

from textual.keys import key_to_character

_HELD = ("ctrl", "alt", "shift", "super", "meta", "hyper")
_ALONE = re.compile(r"(left|right)_(shift|control|alt|super|hyper|meta)|iso_level\d_shift")
"""Modifiers pressed by themselves, which some terminals tell."""
_OTHER_NAMES = {
    "ctrl+@": "ctrl+space",
    "prior": "pageup",
    "next": "pagedown",
}


def typed_by(key: str, character: str | None) -> str:
    """The character that a key types; empty where it is a chord, or a key without one."""
    if character and character.isprintable() and not _held(key):
        return character
    return ""


def chord_of(key: str) -> str:
    """`ctrl+alt+delete`; empty for a modifier alone and what has no name."""
    key = _OTHER_NAMES.get(key, key)
    *held, name = key.split("+")
    if not name or _ALONE.fullmatch(name) or not set(held) <= set(_HELD):
        return ""
    if len(name) > 1:
        sign = key_to_character(name)
        if sign and sign.isprintable() and sign != " ":
            name = sign
    return "-".join([*held, name])


def _held(key: str) -> list[str]:
    return [word for word in key.split("+")[:-1] if word in _HELD and word != "shift"]

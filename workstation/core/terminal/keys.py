"""Keys, named as Textual names them, for the emulated terminal's keyboard."""

from typing import NamedTuple

from bittty import Board, KeyEvent, KeyModifiers

_MODIFIERS = {
    "shift": KeyModifiers.SHIFT,
    "alt": KeyModifiers.ALT,
    "ctrl": KeyModifiers.CTRL,
    "meta": KeyModifiers.META,
}

_NAMES = {
    "escape": "escape", "enter": "enter", "tab": "tab", "backspace": "backspace",
    "delete": "delete", "insert": "insert", "home": "home", "end": "end",
    "pageup": "pageup", "pagedown": "pagedown",
    "up": "up", "down": "down", "left": "left", "right": "right", "space": " ",
}  # fmt: skip

_CONTROLS = {"at": "@", "left_square_bracket": "[", "right_square_bracket": "]", "backslash": "\\",
             "circumflex_accent": "^", "underscore": "_"}  # fmt: skip


class Stroke(NamedTuple):
    """A key that was pressed."""

    key: str
    """As `ctrl+a`, `shift+up`, `f5` or `a`."""
    character: str | None = None
    """What it types, if anything; a control key's is the control character itself."""


def send(board: Board, stroke: Stroke) -> None:
    """Have the board code it and send it; what has no code is nothing."""
    *words, name = stroke.key.split("+") if stroke.key != "+" else ["+"]
    modifiers = KeyModifiers.NONE
    for word in words:
        modifiers |= _MODIFIERS.get(word, KeyModifiers.NONE)
    key = _key(name, stroke.character, modifiers)
    if key is None:
        return
    text = stroke.character if _types(stroke.character) else None
    if text and not modifiers & ~KeyModifiers.SHIFT:
        board.input_key_event(KeyEvent(key, KeyModifiers.NONE, text=text))
    else:
        board.input_key_event(KeyEvent(key, modifiers))


def _types(character: str | None) -> bool:
    return character is not None and character != "" and character.isprintable()


def _key(name: str, character: str | None, modifiers: KeyModifiers) -> str | None:
    if name in _NAMES:
        return _NAMES[name]
    if name.startswith("f") and name[1:].isdigit():
        return name
    if modifiers & KeyModifiers.CTRL:
        return _CONTROLS.get(name) or (name if len(name) == 1 else None)
    if _types(character):
        return character
    return name if len(name) == 1 else None

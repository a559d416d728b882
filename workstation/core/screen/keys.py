"""Keys by their names, as XT scancodes: what QEMU's keyboard takes."""

from typing import NamedTuple

from workstation.errors import UsageError

E0 = 0x80
"""Added to the code of a key whose scancode follows an e0 byte."""


class Stroke(NamedTuple):
    """A key that goes down or comes up."""

    code: int
    down: bool


MODIFIERS = {
    "shift": 0x2A,
    "ctrl": 0x1D,
    "alt": 0x38,
    "altgr": 0x38 | E0,
    "super": 0x5B | E0,
}

NAMED = {
    "esc": 0x01, "escape": 0x01, "backspace": 0x0E, "tab": 0x0F, "enter": 0x1C, "return": 0x1C,
    "space": 0x39, "capslock": 0x3A, "caps_lock": 0x3A, "numlock": 0x45, "num_lock": 0x45,
    "scrolllock": 0x46, "scroll_lock": 0x46, "minus": 0x0C,
    **{f"f{number}": 0x3A + number for number in range(1, 11)}, "f11": 0x57, "f12": 0x58,
    "del": 0x53 | E0, "delete": 0x53 | E0, "insert": 0x52 | E0, "ins": 0x52 | E0,
    "home": 0x47 | E0, "end": 0x4F | E0, "pageup": 0x49 | E0, "pagedown": 0x51 | E0,
    "up": 0x48 | E0, "down": 0x50 | E0, "left": 0x4B | E0, "right": 0x4D | E0,
    "print": 0x54, "print_screen": 0x54, "sysrq": 0x54, "pause": 0x46 | E0, "menu": 0x5D | E0,
}  # fmt: skip
"""Besides the modifiers; what a layout has (letters, digits, signs) is in layouts.py."""

WORDS = {"control": "ctrl", "win": "super", "windows": "super", "meta": "super", "cmd": "super"}


def tapped(code: int, *held: int) -> list[Stroke]:
    """The key pressed and let go, while those are held."""
    down = [Stroke(key, True) for key in (*held, code)]
    return down + [Stroke(key, False) for key in (code, *reversed(held))]


def words_of(chord: str) -> list[str]:
    """`ctrl-alt-del` -> its words; a sign that also joins is a key at the end: `ctrl--`."""
    text = chord.strip()
    last = text[-1:] if text[-1:] in ("-", "+") else ""
    words = [word for word in (text[:-1] if last else text).replace("+", "-").split("-") if word]
    words += [last] if last else []
    if not words:
        raise UsageError("a key without a name", hint="such as ctrl-alt-del, f2 or enter")
    named = (word if len(word) == 1 else word.lower() for word in words)
    return [WORDS.get(word, word) for word in named]

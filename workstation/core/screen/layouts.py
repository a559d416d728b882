"""Which keys a text is typed with, by the layout that the guest thinks its keyboard has."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from workstation.core.screen.keys import MODIFIERS, NAMED, WORDS, Stroke, tapped, words_of
from workstation.errors import UsageError

CODES = (0x29, *range(0x02, 0x0E), *range(0x10, 0x1C), *range(0x1E, 0x29), 0x2B, 0x56,
         *range(0x2C, 0x36))  # fmt: skip
"""The keys that differ from layout to layout, row by row: left of 1, to the right of 0 by two;
Q's row; A's row, with the key left of Enter; the key left of Z, and Z's row."""

SHIFT, ALTGR = MODIFIERS["shift"], MODIFIERS["altgr"]

_ACCENTS = {"\u0300": "`", "\u0301": "´", "\u0302": "^ˆ", "\u0303": "~", "\u0308": "¨"}
"""Combining character: what the dead key shows (ˆ where another key types ^ itself)."""

_PLAIN = {
    "\n": NAMED["enter"], "\r": NAMED["enter"], "\t": NAMED["tab"], " ": NAMED["space"],
    "\x1b": NAMED["esc"], "\x08": NAMED["backspace"], "\x7f": NAMED["backspace"],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """Three strings, a character for each of CODES; a space where the key has none."""

    plain: str
    shifted: str
    altgr: str
    dead: str = ""
    """Signs whose key waits for the letter that they go on."""
    _keys: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        levels = (((), self.plain), ((SHIFT,), self.shifted), ((ALTGR,), self.altgr))
        for held, level in levels:
            for code, char in zip(CODES, level, strict=True):
                if char != " ":
                    self._keys.setdefault(char, (code, *held))

    def key_of(self, char: str) -> tuple[int, ...] | None:
        """The key of a character and what is held with it; None where the layout lacks it."""
        code = _PLAIN.get(char)
        return (code,) if code else self._keys.get(char)

    def strokes(self, char: str) -> list[Stroke] | None:
        """What types the character: one key, or a dead one and then a letter or the space."""
        key = self.key_of(char)
        if key and char in self.dead:
            return tapped(*key) + tapped(NAMED["space"])
        if key:
            return tapped(*key)
        letter, *accents = list(unicodedata.normalize("NFD", char))
        signs = _ACCENTS.get(accents[0], "") if len(accents) == 1 else ""
        dead = next((self._keys[sign] for sign in signs if sign in self.dead), None)
        base = self._keys.get(letter)
        return tapped(*dead) + tapped(*base) if dead and base else None


def _levels(*rows: tuple[str, str, str]) -> tuple[str, str, str]:
    plain, shifted, altgr = ("".join(row[level] for row in rows) for level in range(3))
    return plain, shifted, altgr


LAYOUTS = {
    "us": Layout(*_levels(
        ("`1234567890-=", "~!@#$%^&*()_+", "             "),
        ("qwertyuiop[]", "QWERTYUIOP{}", "            "),
        ("asdfghjkl;'\\", 'ASDFGHJKL:"|', "            "),
        (" zxcvbnm,./", " ZXCVBNM<>?", "           "),
    )),
    "gb": Layout(*_levels(
        ("`1234567890-=", '¬!"£$%^&*()_+', "¦   €        "),
        ("qwertyuiop[]", "QWERTYUIOP{}", "  é   úíó   "),
        ("asdfghjkl;'#", "ASDFGHJKL:@~", "á           "),
        ("\\zxcvbnm,./", "|ZXCVBNM<>?", "           "),
    )),
    "de": Layout(*_levels(
        ("^1234567890ß´", '°!"§$%&/()=?`', "  ²³   {[]}\\ "),
        ("qwertzuiopü+", "QWERTZUIOPÜ*", "@ €        ~"),
        ("asdfghjklöä#", "ASDFGHJKLÖÄ'", "            "),
        ("<yxcvbnm,.-", ">YXCVBNM;:_", "|      µ   "),
    ), dead="^´`"),
    "fr": Layout(*_levels(
        ("²&é\"'(-è_çà)=", " 1234567890°+", "  ~#{[|`\\^@]}"),
        ("azertyuiopˆ$", "AZERTYUIOP¨£", "  €        ¤"),
        ("qsdfghjklmù*", "QSDFGHJKLM%µ", "            "),
        ("<wxcvbn,;:!", ">WXCVBN?./§", "           "),
    ), dead="ˆ¨"),
}  # fmt: skip
"""By the names that people know them by; as Linux has them."""


def layout_of(name: str) -> Layout:
    if name not in LAYOUTS:
        raise UsageError(
            f"there is no keyboard layout “{name}”", hint=f"there are: {', '.join(LAYOUTS)}"
        )
    return LAYOUTS[name]


def typed(text: str, name: str) -> list[Stroke]:
    """What types the text; raises UsageError, naming the first character that the layout lacks."""
    layout, strokes = layout_of(name), list[Stroke]()
    for char in text.replace("\r\n", "\n"):
        found = layout.strokes(char)
        if found is None:
            raise UsageError(
                f"the keyboard layout “{name}” has no {_called(char)}",
                hint="devices.keyboard in the machine's file says which layout the guest has:"
                f" {', '.join(LAYOUTS)}",
            )
        strokes += found
    return strokes


def _called(char: str) -> str:
    return f"“{char}”" if char.isprintable() else f"character U+{ord(char):04X}"


def pressed(chord: str, name: str) -> list[Stroke]:
    """What presses `ctrl-alt-del`, `f2` or `alt-x`; raises UsageError for what is no key."""
    *held, last = words_of(chord)
    codes = [_modifier(word, chord) for word in held]
    if last in MODIFIERS:
        return tapped(MODIFIERS[last], *codes)
    if last in NAMED:
        return tapped(NAMED[last], *codes)
    key = layout_of(name).key_of(last) if len(last) == 1 else None
    if not key:
        raise UsageError(f"there is no key “{last}” in “{chord}”", hint=f"keys: {known_keys()}")
    return tapped(key[0], *dict.fromkeys((*codes, *key[1:])))


def _modifier(word: str, chord: str) -> int:
    if word not in MODIFIERS:
        raise UsageError(
            f"“{word}” in “{chord}” is no key to hold", hint=f"those are: {', '.join(MODIFIERS)}"
        )
    return MODIFIERS[word]


def known_keys() -> str:
    """For a person: what can be pressed."""
    words: Iterable[str] = (word for word in NAMED if not word.startswith("f") and "_" not in word)
    return f"letters, digits, f1 to f12, {', '.join(words)}, {', '.join((*MODIFIERS, *WORDS))}"

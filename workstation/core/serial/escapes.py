"""A guest's terminal output, read as a terminal reads it, in pieces of any size.

What is let through is decided by lists of what is harmless, never of what is not, and only whole
sequences are: so the terminal that shows it is always at rest between two of them, and a byte
taken out can join nothing (ECMA-48 5.4 to 5.6; xterm's ctlseqs; DEC's VT500 parser).
"""

import codecs
import re
from collections.abc import Callable

STRING_LIMIT = 65_536
"""Characters after which a control string without an end is given up."""

_SEQUENCE_LIMIT = 64
"""Characters of a control sequence; a longer one is read to its end and dropped."""

_LARGEST = 65_535
"""The largest parameter: a terminal may repeat a character, or scroll, that many times."""

_PLAIN = re.compile("[^\x00-\x06\x0e-\x1f\x7f-\x9f]+")
"""Text, and the controls that only move the cursor or ring: BEL, BS, HT, LF, VT, FF, CR."""

_STRING_END = re.compile("[\x07\x18\x1a\x1b\x9c\r\n]")

_STRINGS = frozenset("]PX^_k\x90\x98\x9d\x9e\x9f")
"""OSC, DCS, SOS, PM, APC, and screen's title, after ESC or as one C1 character."""

_ABORT = ("\x18", "\x1a")
"""CAN and SUB end any sequence."""


class Stream:
    """Base of what reads a guest's output; what of each sequence is kept is the subclass' own.

    The result depends on the bytes alone, not on how they are cut into pieces.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._state: Callable[[str, int], int] = self._at_rest
        self._shown: list[str] = []
        self._sequence = ""
        self._left = 0

    def text(self, data: bytes) -> str:
        """What of `data` is kept; an unfinished sequence or character waits for its rest."""
        text = self._decoder.decode(data)
        self._shown.clear()
        at = 0
        while at < len(text):
            at = self._state(text, at)
        return "".join(self._shown)

    def kept_escape(self, sequence: str) -> str:
        """What is kept of a short escape sequence, given without its ESC."""
        return ""

    def kept_control(self, parameters: str, final: str) -> str:
        """What is kept of a control sequence; `parameters` has its intermediates too."""
        return ""

    # Each state takes the text and a place in it, and returns the place where to go on.

    def _at_rest(self, text: str, at: int) -> int:
        plain = _PLAIN.match(text, at)
        if plain:
            self._shown.append(plain[0])
            return plain.end()
        char = text[at]
        if char == "\x1b":
            self._enter(self._in_escape)
        elif char == "\x9b":
            self._enter(self._in_control)
        elif char in _STRINGS:
            self._enter(self._in_string)
        elif char in "\x0e\x0f":
            self._shown.append(self.kept_escape(char))
        return at + 1

    def _enter(self, state: Callable[[str, int], int]) -> None:
        self._state = state
        self._sequence = ""
        self._left = STRING_LIMIT

    def _interrupted(self, char: str) -> bool:
        """Whether a character that belongs to no sequence was dealt with inside of one."""
        if char == "\x1b":
            self._enter(self._in_escape)
        elif char in _ABORT:
            self._enter(self._at_rest)
        elif char < " ":
            # A terminal obeys it at once, and goes on with the sequence.
            if _PLAIN.match(char):
                self._shown.append(char)
        elif char != "\x7f":
            return False
        return True

    def _in_escape(self, text: str, at: int) -> int:
        char = text[at]
        if self._interrupted(char):
            return at + 1
        if char > "~":
            self._enter(self._at_rest)
            return at
        if char == "[" and not self._sequence:
            self._enter(self._in_control)
        elif char in _STRINGS and not self._sequence:
            self._enter(self._in_string)
        elif char < "0":
            self._collect(char)
        else:
            self._shown.append(self.kept_escape(self._sequence + char))
            self._enter(self._at_rest)
        return at + 1

    def _in_control(self, text: str, at: int) -> int:
        char = text[at]
        if self._interrupted(char):
            return at + 1
        if char > "~":
            self._enter(self._at_rest)
            return at
        if char < "@":
            self._collect(char)
        else:
            if len(self._sequence) <= _SEQUENCE_LIMIT:
                self._shown.append(self.kept_control(self._sequence, char))
            self._enter(self._at_rest)
        return at + 1

    def _collect(self, char: str) -> None:
        if len(self._sequence) <= _SEQUENCE_LIMIT:
            self._sequence += char

    def _in_string(self, text: str, at: int) -> int:
        """Skip it. It ends at a line's end too: a guest that never ends one, or a program that
        was killed inside of one, would otherwise silence the console; a real one has no lines."""
        end = _STRING_END.search(text, at, at + self._left)
        if not end:
            skipped = min(self._left, len(text) - at)
            self._left -= skipped
            if not self._left:
                self._enter(self._at_rest)
            return at + skipped
        if end[0] == "\x1b":
            self._enter(self._in_escape)
            return end.end()
        self._enter(self._at_rest)
        return end.start() if end[0] in "\r\n" else end.end()


_SHORT = frozenset("78=>DEHMNOc")
"""Save and restore the cursor, keypad modes, index, next line, tab stop, reverse index, single
shifts, reset."""
_CHARSET = re.compile(r"[()*+][0-9A-Za-z]|#[3-68]|[\x0e\x0f]")

_DRAWING = re.compile(r"(?:[0-9:;]*[@A-HJ-MPSTXZ`abdefgmrs]|u|\?[0-9]?[JK]|[0-9]* q|!p)\Z")
"""Move the cursor, erase, insert, delete, scroll, repeat, set tabs, attributes, margins, the
cursor's shape, soft reset. Nothing that makes a terminal answer, print, resize itself or code the
person's keys in another way (with which the key that leaves would not be seen)."""
_MODES = re.compile(r"([0-9;]*)\Z")
_PRIVATE_MODES = re.compile(r"\?([0-9;]*)\Z")

_INSERT = "4"
_ALLOWED_MODES = frozenset(
    map(str, (1, 5, 6, 7, 12, 25, 45, 47, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1047, 1048,
              1049, 2004, 2026))
)  # fmt: skip
"""Cursor keys, reverse screen, origin, wrap, blink, cursor, reverse wrap, alternate screen, keypad,
mouse, focus, pasting, synchronized output."""
_SET_AT_REST = frozenset({"7", "25"})
_LEFT_LAST = ("47", "1047", "1049")


class Filter(Stream):
    """Lets a guest draw on the terminal, and nothing else.

    Control strings (OSC, DCS, APC, PM, SOS: clipboard, title, terminal programming), requests that
    make a terminal answer as if the person had typed, and everything unknown are taken out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed: set[str] = set()
        self._reset = ""

    def feed(self, data: bytes) -> bytes:
        """What of `data` may be shown now, in UTF-8."""
        return self.text(data).encode()

    def undo(self) -> bytes:
        """What brings the terminal's modes back to how a shell expects them."""
        modes = sorted(self._changed, key=lambda mode: (mode in _LEFT_LAST, int(mode)))
        back = "".join(f"\x1b[?{mode}{'h' if mode in _SET_AT_REST else 'l'}" for mode in modes)
        return f"\x1b[0m\x1b(B\x0f{self._reset}{back}".encode()

    def kept_escape(self, sequence: str) -> str:
        if sequence == "=":
            self._undo_by("\x1b>")
        allowed = sequence in _SHORT or _CHARSET.match(sequence)
        if not allowed:
            return ""
        return sequence if sequence < " " else f"\x1b{sequence}"

    def kept_control(self, parameters: str, final: str) -> str:
        if any(int(number) > _LARGEST for number in re.findall("[0-9]+", parameters)):
            return ""
        if final in "hl":
            return self._mode(parameters, final)
        if not _DRAWING.match(parameters + final):
            return ""
        if final == "r":
            # Setting the margins moves the cursor.
            self._undo_by("\x1b7\x1b[r\x1b8")
        elif final == "q":
            self._undo_by("\x1b[0 q")
        return f"\x1b[{parameters}{final}"

    def _mode(self, parameters: str, final: str) -> str:
        private = _PRIVATE_MODES.match(parameters)
        if not private:
            if parameters != _INSERT:
                return ""
            self._undo_by("\x1b[4l")
            return f"\x1b[4{final}"
        modes = [mode for mode in private[1].split(";") if mode in _ALLOWED_MODES]
        for mode in modes:
            normal = (final == "h") is (mode in _SET_AT_REST)
            (self._changed.discard if normal else self._changed.add)(mode)
        return f"\x1b[?{';'.join(modes)}{final}" if modes else ""

    def _undo_by(self, sequence: str) -> None:
        if sequence not in self._reset:
            self._reset += sequence


class Plain(Stream):
    """A guest's words without any sequence or control character, lines and tabs left in."""

    _RETURNS = re.compile("\r+\n")
    _CONTROLS = re.compile("[\x07\x08\x0b\x0c]")

    def __init__(self) -> None:
        super().__init__()
        self._held = ""

    def feed(self, data: bytes) -> str:
        """What of `data` can be told now: a return waits for whether the line ends after it."""
        text = self._held + self.text(data)
        words = text.rstrip("\r")
        self._held = text[len(words) :]
        return self._clean(words)

    def rest(self) -> str:
        """What was held back, at the end."""
        held, self._held = self._held, ""
        return self._clean(held)

    def _clean(self, text: str) -> str:
        # A lone return begins the line anew, as progress bars do: each of them is a line here.
        lines = self._RETURNS.sub("\n", text).replace("\r", "\n")
        return self._CONTROLS.sub("", lines)

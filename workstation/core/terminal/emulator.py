"""The adapter over bittty: bytes of a guest in, rows of cells and answers for the guest out.

Whatever a guest prints, nothing of it leaves here but cells, a title and a count of bells. What
could act on the world outside (clipboard, printer, window, macros) is unplugged.
"""

import codecs
import re
from dataclasses import replace

from bittty import XTERM, Board, TerminalCaps
from bittty.mode_profiles import UNICODE_GRAPHEME_CLUSTERING
from bittty.terminals.base import Terminal
from bittty.terminals.scrollback import MemoryScrollback, ScrollbackLine
from bittty.video import Line

from workstation.core.terminal.corrections import correct
from workstation.core.terminal.keys import Stroke, send

LEAST = 2
"""Columns and rows that a terminal has at least."""

MOST = 1000
"""And at most."""

SCROLLBACK_LINES = 10_000
_SCROLLBACK_CELLS = SCROLLBACK_LINES * 200

STRING_LIMIT = 65_536
"""Characters of a control string (OSC, DCS…); a longer one is skipped to its end, unobeyed. The
parser reads a string anew with every piece of it, so a long one would take time without bound."""

_CONTROL_LIMIT = 256
"""Characters of a control sequence; a longer one is nothing that a program means. The engine keeps
thousands of the sequences that it has met, and what it has made of them."""

_LONG_CONTROL = re.compile(rf"(?:\x1b\[|\x9b)[0-?]{{{_CONTROL_LIMIT},}}[ -/]*[@-~]?")

SKIP_LIMIT = 2**20
"""Characters after which even skipping is given up: a guest that never ends a string is heard
again."""

ANSWERS_LIMIT = 65_536
"""Bytes of answers that wait for the guest: one that asks and never reads gets no more."""

_MODEL = replace(
    XTERM,
    options=frozenset(),  # no printer, no locator
    macro_space=None,
    reflows=True,
    mode_capabilities=XTERM.mode_capabilities | {UNICODE_GRAPHEME_CLUSTERING},
    # Locking the keyboard, and 132 columns: neither is a guest's to decide.
    unsupported_modes=frozenset({(False, 2), (True, 3), (True, 40), (True, 95)}),
    power_on_modes=frozenset({1036, 1039, 1007}),  # Alt sends ESC; the wheel sends arrows
)

_UNPLUGGED = (
    "C0_ENQ", "MC", "DECMC", "OSC_CLIPBOARD", "OSC_CWD", "OSC_FONT", "OSC_NOTIFY", "OSC_SHELL_MARK",
    "OSC_POINTER_SHAPE", "OSC_HYPERLINK", "OSC_SPECIAL_COLOR", "OSC_SPECIAL_COLOR_ENABLE",
    "DECSCPP", "DECUDK", "DECRQCRA", "XTGETTCAP", "LINUX_SETTERM", "DECCARA", "DECRARA",
)  # fmt: skip
"""Operations that are not obeyed: they reach outside the screen, answer with what the guest has
put there, change the size, which is the person's, or are slow and used by no program (the last
two change attributes cell by cell)."""

_REPORTS = frozenset({11, 13, 14, 15, 16, 18, 19, 22, 23})
"""Of the window operations: asking for sizes, keeping a title. Not the reports of a title, which
would be typed into a shell."""

_STRINGS = frozenset({"osc", "dcs", "apc", "pm", "sos"})
_STRING_END = re.compile("[\x07\x18\x1a\x1b\x9c]")
_CANCEL = "\x18"


_AT_EASE = (
    b"\x1b[?1049l\x1b[!p\x1b[?1;5;9;1000;1002;1003;1004;1005;1006;1015;2004;2026l"
    b"\x1b(B\x0f\x1b>\x1b[r"
)
"""Back from the alternate screen, with no mode that a program would have switched off."""


class _Scrollback(MemoryScrollback):
    """Bounded by lines as well as by cells."""

    def append(self, row: ScrollbackLine, wrapped: bool = False) -> None:
        while len(self._lines) >= SCROLLBACK_LINES:
            self.cells -= len(self._lines.popleft()) + 1
            self.first += 1
        super().append(row, wrapped)


class _Wire:
    """What the emulator says to the guest: answers to its questions, and what is typed."""

    closed = False

    def __init__(self) -> None:
        self.waiting = bytearray()
        self.mute = False

    def write(self, data: str) -> int:
        return self.write_bytes(data.encode("utf-8", "replace"))

    def write_bytes(self, data: bytes) -> int:
        if not self.mute and len(self.waiting) < ANSWERS_LIMIT:
            self.waiting += data
        return len(data)

    def flush(self) -> None: ...
    def configure_line(self, line: object) -> None: ...
    def resize(self, rows: int, cols: int) -> None: ...
    def close(self) -> None: ...

    async def read_bytes_async(self, size: int) -> bytes:
        return b""


class Emulator(Terminal):
    """A terminal of `columns` by `rows` that is fed with any bytes, in any pieces.

    `view_rows`, `damaged_rows` and `port.cursor` say what to paint.
    """

    def __init__(self, columns: int, rows: int) -> None:
        columns, rows = _sized(columns), _sized(rows)
        board = Board(width=columns, height=rows, model=_MODEL)
        self.history = _Scrollback()
        super().__init__(board, self.history)
        self.columns, self.rows = columns, rows
        self.title = ""
        self.bells = 0
        self.scrolled = 0
        """Rows that have left the screen at its top, ever."""
        self.trouble = 0
        """Pieces that the engine failed on; its state was reset then."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._skipping = 0
        self._wire = _Wire()
        self._unplug()
        correct(board)
        board.host.attach(self._wire)
        self.attach()
        # Combining marks join what they follow, and take no column of their own.
        board.set_caps(TerminalCaps(grapheme_mode="permanently-set"))

    def _unplug(self) -> None:
        registry = self.board.registry
        for name in _UNPLUGGED:
            registry.pop(name, None)
        window = registry.get("XTWINOPS")
        if window:
            registry["XTWINOPS"] = lambda operation: (
                window(operation) if (operation.args[0] or (0,))[0] in _REPORTS else None
            )

    # -- from the guest -----------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Show what the guest printed."""
        text = self._decoder.decode(data)
        if self._skipping:
            text = self._skipped(text)
        if text:
            self._feed(text)

    def replay(self, data: bytes) -> None:
        """Show what was printed before: questions in it were answered, or went unanswered, then."""
        self._wire.mute = True
        try:
            self.feed(data)
        finally:
            self._wire.mute = False

    def _feed(self, text: str) -> None:
        parser = self.board.parser
        try:
            parser.feed(_LONG_CONTROL.sub("", text))
            if parser.mode in _STRINGS and len(parser.buffer) > STRING_LIMIT:
                parser.feed(_CANCEL)
                self._skipping = SKIP_LIMIT
            elif parser.mode == "csi" and len(parser.buffer) > _CONTROL_LIMIT:
                parser.feed(_CANCEL)
        except Exception:
            self._mend()
        if (self.board.width, self.board.height) != (self.columns, self.rows):
            # 132 columns and the like: the size is the person's.
            self.board.resize(self.columns, self.rows)

    def _mend(self) -> None:
        """The engine failed: go on with its parser at rest and whole pages of the right size."""
        self.trouble += 1
        self.board.parser.reset()
        self.board.reset()
        self.board.resize(self.columns, self.rows)

    def _skipped(self, text: str) -> str:
        """Without what is left of a string that was too long."""
        end = _STRING_END.search(text, 0, self._skipping)
        if end:
            self._skipping = 0
            return text[end.start() if end[0] == "\x1b" else end.end() :]
        rest = text[self._skipping :]
        self._skipping = max(0, self._skipping - len(text))
        return rest

    def begin_run(self, note: str) -> None:
        """The guest that printed what is shown is gone; another begins below it."""
        self.feed(_AT_EASE)
        page = self.port.page
        last = max((y for y in range(page.height) if page.get_line_text(y).strip()), default=-1)
        below = f"\x1b[{last + 1};1H\r\n" if last >= 0 else "\x1b[H"
        self.feed(f"{below}\x1b[2m── {note} ──\x1b[0m\r\n".encode())

    def restore(self) -> None:
        """Modes, margins and character sets as they are after switching on; the text stays."""
        self._skipping = 0
        self.feed(_CANCEL.encode() + _AT_EASE)

    def answers(self) -> bytes:
        """What the guest is to be sent now; each byte is given once."""
        waiting = bytes(self._wire.waiting)
        self._wire.waiting.clear()
        return waiting

    # -- from the person ----------------------------------------------------

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self.rows = _sized(columns), _sized(rows)
        try:
            self.board.resize_from_frontend(self.columns, self.rows)
        except Exception:
            self._mend()

    def type(self, stroke: Stroke) -> None:
        """A key, as the modes that the guest has set code it."""
        send(self.board, stroke)

    def paste(self, text: str) -> None:
        """Bracketed where the guest has asked for that."""
        self.board.input_paste(text)

    def mouse(self, x: int, y: int, button: int, kind: str, modifiers: set[str]) -> None:
        """`x` and `y` from 0; `kind` is press, release or move."""
        self.board.input_mouse(x + 1, y + 1, button, kind, modifiers)

    def focus(self, focused: bool) -> None:
        self.board.set_focus(focused)

    @property
    def wants_mouse(self) -> bool:
        """Whether the guest has asked for clicks."""
        return self.board.mouse.protocol.name != "OFF"

    @property
    def wants_wheel(self) -> bool:
        """Whether the wheel is the guest's: it has the mouse, or a whole screen of its own."""
        return self.board.mouse.capture() != "off"

    @property
    def holds_still(self) -> bool:
        """Whether the guest has asked to be painted only when it is done with a change."""
        return bool(getattr(self.board.modes, "synchronized_output"))  # noqa: B009 (made at run time)

    # -- told by the engine -------------------------------------------------

    def on_bell(self) -> None:
        self.bells += 1

    def on_title(self, title: str, icon_title: str) -> None:
        self.title = title[:500]

    def on_rows_scrolled_off(self, lines: tuple[Line, ...]) -> None:
        self.scrolled += len(lines)
        super().on_rows_scrolled_off(lines)


def _sized(number: int) -> int:
    return min(MOST, max(LEAST, number))

"""The emulated terminal: what programs print (ECMA-48, xterm's ctlseqs), and hostile guests."""

from collections.abc import Callable

import pytest

from workstation.core.terminal import emulator
from workstation.core.terminal.emulator import Emulator
from workstation.core.terminal.keys import Stroke


def screen(printed: str | bytes, columns: int = 20, rows: int = 5) -> Emulator:
    terminal = Emulator(columns, rows)
    terminal.feed(printed if isinstance(printed, bytes) else printed.encode())
    return terminal


def rows_of(terminal: Emulator) -> list[str]:
    return terminal.board.capture_text().split("\n")


def cells_of(terminal: Emulator) -> list[object]:
    page = terminal.port.page
    return [page.line(y).cells for y in range(page.height)]


CASES: dict[str, tuple[str, list[str], tuple[int, int]]] = {
    # what is printed, the rows, the cursor: from ECMA-48 8.3 and xterm's ctlseqs
    "plain": ("one\r\ntwo", ["one", "two"], (3, 1)),
    "backspace": ("ab\bc", ["ac"], (2, 0)),
    "tab": ("a\tb", ["a       b"], (9, 0)),
    "wrap at the edge": ("x" * 21, ["x" * 20, "x"], (1, 1)),
    "wrap waits for the next": ("x" * 20, ["x" * 20], (19, 0)),
    "no wrap": ("\x1b[?7l" + "x" * 25 + "y", ["x" * 19 + "y"], (19, 0)),
    "CUP": ("\x1b[3;5Hx", ["", "", "    x"], (5, 2)),
    "CUP beyond the edge": ("\x1b[99;99Hx", ["", "", "", "", " " * 19 + "x"], (19, 4)),
    "CUU CUD CUF CUB": ("\x1b[2B\x1b[3Ca\x1b[2A\x1b[2Db", ["  b", "", "   a"], (3, 0)),
    "CHA VPA": ("\x1b[5Ga\x1b[3db", ["    a", "", "     b"], (6, 2)),
    "CNL CPL": ("ab\x1b[2Ec\x1b[Fd", ["ab", "d", "c"], (1, 1)),
    "ED below": ("abc\r\ndef\x1b[1;2H\x1b[J", ["a"], (1, 0)),
    "ED above": ("abc\r\ndef\x1b[1J", [""], (3, 1)),
    "EL left, right, all": (
        "abc\x1b[2D\x1b[1K\r\nabc\x1b[2D\x1b[K\r\nabc\x1b[2K", ["  c", "a"], (3, 2)),
    "ICH DCH ECH": ("abcd\x1b[1;2H\x1b[2@\x1b[2;1Habcd\x1b[2;2H\x1b[P\x1b[3;1Habcd\x1b[3;2H\x1b[2X",
                    ["a  bcd", "acd", "a  d"], (1, 2)),
    "IL DL": ("a\r\nb\r\nc\x1b[2;1H\x1b[L\x1b[1;1H\x1b[M", ["", "b", "c"], (0, 0)),
    "scrolling margins": ("\x1b[2;3ra\r\nb\r\nc\r\nd", ["a", "c", "d"], (1, 2)),
    "reverse index": ("\x1b[1;1H\x1bMtop", ["top"], (3, 0)),
    "SU SD": ("a\r\nb\r\nc\x1b[S\x1b[2T", ["", "", "b", "c"], (1, 2)),
    "REP": ("ab\x1b[3b", ["abbbb"], (5, 0)),
    "save and restore": ("a\x1b7\x1b[3;3Hb\x1b8c", ["ac", "", "  b"], (2, 0)),
    "insert mode": ("abc\r\x1b[4hX\x1b[4l", ["Xabc"], (1, 0)),
    "origin mode": ("\x1b[2;4r\x1b[?6h\x1b[1;1Ha", ["", "a"], (1, 1)),
    "origin mode brings the cursor home": (
        "\x1b[2;4r\x1b[3;3Ha\x1b[?6hb\x1b[3;3Hc\x1b[?6ld",
        ["d", "b", "  a", "  c"], (1, 0)),
    "up and down stop at the margins": (
        "\x1b[2;4r\x1b[3;3H\x1b[9Aa\x1b[9Bb\x1b[9Fc\x1b[9Ed", ["", "c a", "", "d  b"], (1, 3)),
    "up and down beyond the margins": (
        "\x1b[2;4r\x1b[1;3Ha\x1b[9Bb\x1b[5;3Hc\x1b[9Ad",
        ["  a", "   d", "", "   b", "  c"], (4, 1)),
    "up above them, down below them": (
        "\x1b[3;4r\x1b[2;1H\x1b[9Aa\x1b[5;1H\x1b[9Bb", ["a", "", "", "", "b"], (1, 4)),
    "ICH and DCH above the margins": (
        "\x1b[2;4r\x1b[Habcd\x1b[2G\x1b[2@\x1b[6G\x1b[P", ["a  bc"], (5, 0)),
    "SD and SU by 0": ("a\r\nb\x1b[0T\x1b[0T\x1b[0S", ["", "a", "b"], (1, 1)),
    "line drawing": ("\x1b(0lqk\x1b(B", ["┌─┐"], (3, 0)),
    "shift out": ("\x1b)0\x0eq\x0fq", ["─q"], (2, 0)),
    "alternate screen": ("main\x1b[?1049h\x1b[Halt\x1b[?1049l", ["main"], (4, 0)),
    "alternate screen is another": ("main\x1b[?1049h\x1b[Halt", ["alt"], (3, 0)),
    "wide characters": ("漢字x", ["漢字x"], (5, 0)),
    "a wide one does not fit": ("x" * 19 + "漢", ["x" * 19, "漢"], (2, 1)),
    "half of a wide one is overwritten": ("漢字\x1b[1;2Hx", [" x字"], (2, 0)),
    "combining marks": ("e\u0301a\u0308o", ["e\u0301a\u0308o"], (3, 0)),
    "DECALN": ("\x1b#8", ["E" * 20] * 5, (0, 0)),
    "RIS": ("abc\x1b[31m\x1bcx", ["x"], (1, 0)),
    "marks after RIS": ("\x1bce\u0301x", ["e\u0301x"], (2, 0)),
    "a control inside a sequence acts": ("ab\x1b[2\bDc", ["cb"], (1, 0)),
    "CAN ends a sequence": ("\x1b[3\x18x", ["x"], (1, 0)),
    "an unknown sequence is nothing": ("\x1b[?9999$~\x1b[5;5;5zx", ["x"], (1, 0)),
    "strings are not shown": ("\x1bPdata\x1b\\\x1b_app\x1b\\\x1b^pm\x1b\\x", ["x"], (1, 0)),
    "C1 as UTF-8": ("\x9b2Cx", ["  x"], (3, 0)),
    "tab stops": ("\x1b[3g\x1b[5G\x1bH\r\tx", ["    x"], (5, 0)),
    "no 132 columns": ("\x1b[?40h\x1b[?3hx", ["x"], (1, 0)),
    "no size of the guest's own": ("\x1b[8;50;100tx", ["x"], (1, 0)),
    "no printer": ("\x1b[5ihidden?\x1b[4i", ["hidden?"], (7, 0)),
    "no lock of the keyboard": ("\x1b[2hx", ["x"], (1, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_printed_shows_as_on_a_terminal(name: str) -> None:
    printed, rows, cursor = CASES[name]
    terminal = screen(printed)
    shown = rows_of(terminal)
    assert [row.rstrip() for row in shown] == rows + [""] * (len(shown) - len(rows))
    assert terminal.port.cursor == cursor
    assert (terminal.board.width, terminal.board.height) == (20, 5)
    assert not terminal.trouble


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_how_it_is_cut_into_pieces_changes_nothing(name: str, size: int) -> None:
    whole, pieces = screen(CASES[name][0]), Emulator(20, 5)
    data = CASES[name][0].encode()
    for start in range(0, len(data), size):
        pieces.feed(data[start : start + size])
    assert cells_of(pieces) == cells_of(whole)
    assert pieces.port.cursor == whole.port.cursor


def test_a_saved_cursor_comes_back_with_its_origin_mode() -> None:
    """As xterm has it; not all that call themselves so."""
    terminal = screen("\x1b[2;4r\x1b[?6h\x1b[2;3H\x1b7\x1b[?6l\x1b8a\x1b[Hb")
    assert [row.rstrip() for row in rows_of(terminal)] == ["", "b", "  a"]


def style(terminal: Emulator, x: int = 0) -> object:
    return terminal.port.page.line(0).cells[x][0]


@pytest.mark.parametrize(
    ("sgr", "wanted"),
    [
        ("1;3;4;7", {"bold": True, "italic": True, "underline": True, "reverse": True}),
        ("1;22;9", {"bold": False, "strike": True}),
        ("38;5;208", {"fg": ("indexed", 208)}),
        ("48;2;1;2;3", {"bg": ("rgb", (1, 2, 3))}),
        ("38:2::9:8:7", {"fg": ("rgb", (9, 8, 7))}),
        ("91", {"fg": ("indexed", 9)}),
        ("31;0", {"fg": None, "bold": None}),
    ],
)
def test_colours_and_attributes(sgr: str, wanted: dict[str, object]) -> None:
    made = style(screen(f"\x1b[{sgr}mx"))
    for name, value in wanted.items():
        found = getattr(made, name)
        assert (found.mode, found.value) == value if isinstance(value, tuple) else found == value


# -- what is said to the guest ------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("\x1b[6n", b"\x1b[1;1R"),
        ("ab\x1b[6n", b"\x1b[1;3R"),
        ("\x1b[999;999H\x1b[6n", b"\x1b[5;20R"),  # as `resize` finds the size
        ("\x1b[5n", b"\x1b[0n"),
        ("\x1b[18t", b"\x1b[8;5;20t"),
        ("\x1b[8;50;100t\x1b[?40h\x1b[?3h\x1b[18t", b"\x1b[8;5;20t"),
    ],
)
def test_a_guest_that_asks_is_answered(asked: str, answer: bytes) -> None:
    terminal = screen(asked)
    assert terminal.answers() == answer
    assert terminal.answers() == b""


@pytest.mark.parametrize(
    "asked",
    [
        "\x1b]0;rm -rf /\n\x07\x1b[21t\x1b[20t",  # a title that would be typed
        "\x1b]52;c;?\x07\x1b]52;c;QUJD\x07\x1b]52;c;?\x07",  # the clipboard
        "\x05",  # the answerback
        "\x1bP+q544e\x1b\\",  # terminfo
        "\x1b[?26n\x1b]50;?\x07\x1b]10\x07",
        "\x1bP0;1|17/726d\x1b\\",  # keys that the guest defines
    ],
)
def test_a_guest_cannot_have_words_of_its_own_typed(asked: str) -> None:
    said = screen(asked).answers()
    assert b"rm" not in said
    assert b"QUJD" not in said
    assert b"ABC" not in said
    assert b"\n" not in said


def test_questions_of_earlier_are_not_answered_now() -> None:
    terminal = Emulator(20, 5)
    terminal.replay(b"\x1b[6n\x1b[c")
    assert terminal.answers() == b""
    terminal.feed(b"\x1b[5n")
    assert terminal.answers() == b"\x1b[0n"


def test_a_guest_that_asks_without_end_gets_an_end() -> None:
    terminal = screen(b"\x1b[c" * 20_000)
    assert len(terminal.answers()) < emulator.ANSWERS_LIMIT + 100


KEYS: list[tuple[str, str | None, str, bytes]] = [
    ("a", "a", "", b"a"), ("A", "A", "", b"A"), ("space", " ", "", b" "),
    ("full_stop", ".", "", b"."), ("é", "é", "", "é".encode()), ("漢", "漢", "", "漢".encode()),
    ("enter", "\r", "", b"\r"), ("tab", "\t", "", b"\t"), ("shift+tab", None, "", b"\x1b[Z"),
    ("escape", "\x1b", "", b"\x1b"), ("backspace", "\x7f", "", b"\x7f"),
    ("ctrl+a", "\x01", "", b"\x01"), ("ctrl+c", "\x03", "", b"\x03"),
    ("ctrl+q", "\x11", "", b"\x11"), ("ctrl+p", "\x10", "", b"\x10"),
    ("ctrl+at", "\x00", "", b"\x00"), ("ctrl+backslash", "\x1c", "", b"\x1c"),
    ("ctrl+right_square_bracket", "\x1d", "", b"\x1d"), ("ctrl+underscore", "\x1f", "", b"\x1f"),
    ("alt+x", "x", "", b"\x1bx"), ("ctrl+alt+a", None, "", b"\x1b\x01"),
    ("up", None, "", b"\x1b[A"), ("up", None, "\x1b[?1h", b"\x1bOA"),
    ("shift+up", None, "", b"\x1b[1;2A"), ("ctrl+right", None, "", b"\x1b[1;5C"),
    ("home", None, "", b"\x1b[H"), ("end", None, "\x1b[?1h", b"\x1bOF"),
    ("delete", None, "", b"\x1b[3~"), ("pageup", None, "", b"\x1b[5~"),
    ("insert", None, "", b"\x1b[2~"), ("f1", None, "", b"\x1bOP"), ("f5", None, "", b"\x1b[15~"),
    ("f12", None, "", b"\x1b[24~"), ("shift+f5", None, "", b"\x1b[15;2~"),
    ("a", "a", "\x1b[2h", b"a"), ("some_key_of_tomorrow", None, "", b""),
]  # fmt: skip


@pytest.mark.parametrize(("key", "character", "modes", "sent"), KEYS)
def test_keys_are_coded_as_xterm_does(
    key: str, character: str | None, modes: str, sent: bytes
) -> None:
    terminal = screen(modes)
    terminal.type(Stroke(key, character))
    assert terminal.answers() == sent


def test_a_paste_is_bracketed_where_the_guest_has_asked_and_cannot_break_out() -> None:
    terminal = Emulator(20, 5)
    terminal.paste("ls\nrm x\x1b[201~\x03")
    assert terminal.answers() == b"ls\rrm x [201~\x03"
    terminal.feed(b"\x1b[?2004h")
    terminal.paste("ls\nrm x\x1b[201~")
    assert terminal.answers() == b"\x1b[200~ls\rrm x [201~\x1b[201~"


def test_the_mouse_is_the_guests_where_it_has_asked() -> None:
    terminal = Emulator(20, 5)
    terminal.mouse(3, 2, 0, "press", set())
    assert terminal.answers() == b""
    assert not terminal.wants_mouse
    terminal.feed(b"\x1b[?1002h\x1b[?1006h")
    assert terminal.wants_mouse
    for kind in ("press", "move", "release"):
        terminal.mouse(3, 2, 0, kind, set())
    assert terminal.answers() == b"\x1b[<0;4;3M\x1b[<32;4;3M\x1b[<0;4;3m"
    terminal.mouse(0, 0, 64, "press", {"ctrl"})
    assert terminal.answers() == b"\x1b[<80;1;1M"


def test_the_wheel_moves_in_a_whole_screen_program() -> None:
    terminal = screen(b"\x1b[?1049h")
    assert terminal.wants_wheel
    terminal.mouse(0, 0, 65, "press", set())
    assert terminal.answers() == b"\x1b[B"


def test_title_and_bell_are_told_and_no_more() -> None:
    terminal = screen("\x1b]0;ti\x9dtle" + "x" * 1000 + "\x07\a\a")
    assert terminal.title.startswith("ti")
    assert len(terminal.title) <= 500
    assert terminal.bells == 2


# -- a hostile or broken guest -----------------------------------------------------


@pytest.mark.parametrize("start", ["\x1b]0;", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x9d2;"])
def test_a_string_without_an_end_is_given_up(start: str) -> None:
    terminal = screen(start)
    for _ in range(400):
        terminal.feed(b"x" * 1_000)
        assert len(terminal.board.parser.buffer) < emulator.STRING_LIMIT + 1_100
    terminal.feed(b"\x1b[2J\x1b[Hheard again")
    assert rows_of(terminal)[0] == "heard again"


def test_what_follows_a_string_that_was_too_long_is_not_printed() -> None:
    """A picture for a terminal that shows pictures."""
    terminal = Emulator(20, 5)
    for piece in (b"\x1bPq" + b"#0~" * 60_000, b"#1~" * 60_000, b"\x1b\\done"):
        terminal.feed(piece)
    assert rows_of(terminal) == ["done"]


def test_a_string_that_never_ends_does_not_silence_the_guest_for_ever() -> None:
    terminal = screen(b"\x1b]0;")
    for _ in range(30):
        terminal.feed(b"y" * 50_000)
    assert "y" in rows_of(terminal)[-1]


@pytest.mark.parametrize(
    "printed",
    [b"\x1b[" + b"1;" * 500_000, b"".join(b"\x1b[%s%dm" % (b"1;" * 200, n) for n in range(2000))],
)
def test_a_sequence_of_endless_numbers_is_nothing(printed: bytes) -> None:
    terminal = Emulator(20, 5)
    for start in range(0, len(printed), 4096):
        terminal.feed(printed[start : start + 4096])
        assert len(terminal.board.parser.buffer) < 5_000
    terminal.feed(b"\x18\x1bcok")
    assert rows_of(terminal) == ["ok"]


@pytest.mark.parametrize(
    "printed",
    [
        "e" + "\u0301" * 50_000,
        "\U0001f468\u200d" * 20_000,
        *(
            f"\x1b[{rest}" * 50
            for rest in ("999999999b", "9999999S", "88;1;1;9999;9999$x", "9999999@", "9999999I")
        ),
    ],
)
def test_large_numbers_and_long_clusters_are_survived(printed: str) -> None:
    terminal = screen(printed, 100, 30)
    assert (terminal.board.width, terminal.board.height) == (100, 30)
    assert not terminal.trouble


@pytest.mark.parametrize("size", [(1, 1), (0, 0), (-5, 10), (1, 500), (5_000, 2), (10**9, 10**9)])
def test_any_size_is_one_that_can_be(size: tuple[int, int]) -> None:
    terminal = screen("漢字 and text" * 20)
    terminal.resize(*size)
    assert 2 <= terminal.columns <= 1000
    assert 2 <= terminal.rows <= 1000
    terminal.feed("漢字\r\n".encode() * 10)
    assert not terminal.trouble


def test_an_engine_that_fails_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = screen("before")
    feed = terminal.board.parser.feed

    def fail(text: str) -> None:
        if "boom" in text:
            raise IndexError(text)
        feed(text)

    monkeypatch.setattr(terminal.board.parser, "feed", fail)
    terminal.feed(b"boom")
    terminal.feed(b"after")
    assert terminal.trouble == 1
    assert rows_of(terminal) == ["after"]


# -- lines that have scrolled away ------------------------------------------------


def test_lines_that_leave_the_screen_are_kept_and_no_more_than_so_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emulator, "SCROLLBACK_LINES", 100)
    terminal = screen("".join(f"line {number}\r\n" for number in range(500)))
    history = terminal.history
    assert history.end - history.first <= 101
    assert history.line(history.end - 1).text == "line 495"
    assert terminal.scrolled == 496


def test_a_full_screen_program_leaves_no_lines_behind() -> None:
    terminal = screen("\x1b[?1049h" + "x\r\n" * 100 + "\x1b[?1049lback")
    assert terminal.history.end == 0


def test_another_run_begins_below_at_ease() -> None:
    terminal = screen("shell$ vi\x1b[?1049h\x1b[?1000h\x1b[?2004h\x1b[?25l\x1b[2;3r~")
    terminal.begin_run("one starts")
    assert rows_of(terminal)[0].startswith("shell$")
    assert any("── one starts ──" in row for row in rows_of(terminal))
    assert not terminal.wants_mouse
    assert terminal.port.cursor
    terminal.paste("x")
    assert terminal.answers() == b"x"


@pytest.fixture(
    params=["\x1b[?25l", "\x1b(0", "\x1b[?6h\x1b[3;4r", "\x1b[4h", "\x1b]0;never", "\x1b[8m"]
)
def upset(request: pytest.FixtureRequest) -> Callable[[], Emulator]:
    return lambda: screen(f"kept\r\n{request.param}")


def test_a_terminal_that_was_upset_can_be_restored(upset: Callable[[], Emulator]) -> None:
    terminal = upset()
    terminal.restore()
    assert rows_of(terminal)[0] == "kept"
    terminal.feed(b"\r\x1b[2;1Hsane")
    assert rows_of(terminal)[1] == "sane"
    assert terminal.port.cursor == (4, 1)
    assert style(terminal) is not None

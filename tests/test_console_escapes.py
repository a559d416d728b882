"""What a guest's bytes may do to the terminal that shows them."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.core.serial.escapes import STRING_LIMIT, Filter, Plain

PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"\x1b",
                b"\x1b[",
                b"\x1b]",
                b"\x1bP",
                b"\x1bk",
                b"\x1b\\",
                b"\xc2",
                b"\x9b",
                b"\xc2\x9d",
                b"\x07",
                b"\x18",
                b"\x05",
                b"\x00",
                b"\x7f",
                b"\r",
                b"\n",
                b"?",
                b">",
                b"6n",
                b"c",
                b"1049h",
                b"$p",
                b"!p",
                b"52;c;",
                b";",
                b"31m",
                b"t",
                b"x",
                b"\xe2\x82\xac",
                b"\xe2",
                b"\xff",
                b"(B",
                b"%G",
                b" F",
                b"21",
            ]
        ),
        st.binary(max_size=6),
    ),
    max_size=30,
).map(b"".join)

FORBIDDEN = re.compile(
    rb"\x1b[\]PX^_kZ%]|\xc2[\x80-\x9f]|\x05|[\x00-\x06\x10-\x1a\x1c-\x1f\x7f]"
    rb"|\x1b\[[0-?]*[ -/]*[cntxipy]|\x1b\[[<=>?][0-?]*[mu]|\x1b\[[0-?]*[$\"'*#&]"
)
"""Starts of control strings, C1, answer-back, requests that the terminal would answer."""

WHOLE = re.compile(
    rb"(?:[^\x1b]|\x1b\[[0-?]{0,64}[ -/]*[@-~]|\x1b[()*+#][ -~]|\x1b[0-9=>A-Za-z])*\Z"
)


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(PIECES, st.lists(st.integers(0, 1000), max_size=20))
def test_any_slicing_gives_the_same(data: bytes, cuts: list[int]) -> None:
    whole, cut = Filter(), Filter()
    assert b"".join(map(cut.feed, in_pieces(data, cuts))) == whole.feed(data)
    assert cut.undo() == whole.undo()
    words, cut_words = Plain(), Plain()
    pieces = [cut_words.feed(piece) for piece in in_pieces(data, cuts)]
    assert "".join([*pieces, cut_words.rest()]) == words.feed(data) + words.rest()


@given(PIECES)
def test_nothing_forbidden_leaves_and_only_whole_sequences_do(data: bytes) -> None:
    shown = Filter().feed(data)
    # What makes a terminal answer is `CSI ! p` no more than a cursor's shape is: both only draw.
    assert not FORBIDDEN.search(shown.replace(b"\x1b[!p", b""))
    assert WHOLE.match(shown)
    plain = Plain().feed(data)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", plain)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.lists(st.integers(0, 1000)))
def test_ordinary_text_is_never_lost(text: str, cuts: list[int]) -> None:
    pieces = in_pieces(f"{text}\r\n\t{text}".encode(), cuts)
    screen, plain = Filter(), Plain()
    assert b"".join(map(screen.feed, pieces)).decode() == f"{text}\r\n\t{text}"
    assert "".join(map(plain.feed, pieces)) + plain.rest() == f"{text}\n\t{text}"


@pytest.mark.parametrize(
    "drawn",
    [
        "\x1b[1;31mred\x1b[0m",
        "\x1b[2J\x1b[H",
        "\x1b[?1049h\x1b[?25l",
        "\x1b(0qqq\x1b(B",
        "\x1b[4 q",
        "\x1b[38:2::1:2:3mx",
        "\x1b[3;20r",
        "\x1b7\x1b8",
        "\x1b[5X",
        "\x0eq\x0f",
        "\x1b[?2004h",
        "\b \b",
    ],
)
def test_drawing_passes_unchanged(drawn: str) -> None:
    assert Filter().feed(drawn.encode()) == drawn.encode()


@pytest.mark.parametrize(
    "asked",
    [
        "\x1b[c",
        "\x1b[>c",
        "\x1b[0c",
        "\x1b[6n",
        "\x1b[?6n",
        "\x1b[21t",
        "\x1b[8;1;1t",
        "\x1bZ",
        "\x05",
        "\x1b[?2026$p",
        "\x1b[>q",
        "\x1b[?u",
        "\x1b[>1u",
        "\x1b[>4;2m",
        "\x1b[?4m",
        "\x1b[1$w",
        "\x1b[x",
        "\x1b[i",
        "\x1b[5i",
        "\x1b[?1;1;0S",
        "\x1b[6\x00n",
        "\x1b[6\x7fn",
        "\x1b[?9001h",
        "\x1b[20h",
        "\x1b]0;t\x07",
        "\x1b]52;c;QQ==\x1b\\",
        "\x1bP$qm\x1b\\",
        "\x1bktitle\x1b\\",
        "\x1b_Gq\x1b\\",
        "\x9d52;c;QQ==\x9c",
        "\x9b6n",
        "\x90$qm\x9c",
        "\x85",
        "\x1b%@",
        "\x1b F",
        "\x1b[999999999b",
        "\x1b[" + "1;" * 500 + "n",
    ],
)
def test_what_makes_a_terminal_answer_or_change_is_taken_out(asked: str) -> None:
    assert Filter().feed(f"a{asked}b".encode()) in (b"ab", b"a\x00b".replace(b"\x00", b""))


def test_only_the_harmless_of_several_modes_is_set() -> None:
    assert Filter().feed(b"\x1b[?25;9001;2004l") == b"\x1b[?25;2004l"


def test_a_control_string_without_an_end_is_given_up_at_the_line() -> None:
    assert Filter().feed(b"a\x1b]0;forgotten\r\nlogin: ") == b"a\r\nlogin: "


def test_or_after_so_many_characters() -> None:
    screen = Filter()
    assert screen.feed(b"\x1b]" + b"x" * STRING_LIMIT) == b""
    assert screen.feed(b"shown") == b"shown"


def test_what_the_guest_changed_is_undone_and_no_more() -> None:
    screen = Filter()
    screen.feed(b"\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[?1000l\x1b[?7l\x1b[3;9r")
    undone = screen.undo()
    for expected in (b"\x1b[0m", b"\x1b[?25h", b"\x1b[?7h", b"\x1b[r"):
        assert expected in undone
    assert undone.endswith(b"\x1b[?1049l")
    assert b"1000" not in undone
    assert b"\x1b[?" not in Filter().undo()

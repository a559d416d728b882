"""Any bytes, any pieces, any sizes: no exception, no hang, and a screen that can be painted."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_terminal import cells_of
from workstation.core.terminal.emulator import Emulator
from workstation.core.terminal.look import Look, Place
from workstation.model.text import safe_line
from workstation.ui.console.painting import Painter

NUMBERS = st.one_of(st.integers(0, 12), st.sampled_from([25, 47, 1000, 1049, 2004, 9999, 10**9]))

CONTROLS = st.builds(
    lambda intro, marker, numbers, between, final: (
        f"{intro}{marker}{';'.join(map(str, numbers))}{between}{final}".encode()
    ),
    st.sampled_from(["\x1b[", "\x9b"]),
    st.sampled_from(["", "?", ">", "=", "<"]),
    st.lists(NUMBERS, max_size=6),
    st.sampled_from(["", " ", "$", '"', "#", "'", "*", "!"]),
    st.characters(min_codepoint=0x40, max_codepoint=0x7E),
)

STRINGS = st.builds(
    lambda start, text, end: (start + text + end).encode(),
    st.sampled_from(["\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x9d", "\x90"]),
    st.text(st.characters(max_codepoint=0x17F, exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(["\x07", "\x1b\\", "\x9c", "\x18", ""]),
)

TEXTS = st.one_of(
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(["漢字", "e\u0301", "👨‍👩‍👧", "\r\n", "\t", "\b", "\n\n\n"]).map(str.encode),
    st.binary(max_size=20),
)

ESCAPES = st.builds(
    lambda between, final: b"\x1b" + between + final,
    st.sampled_from([b"", b"(", b")", b"#", b" ", b"%"]),
    st.integers(0x30, 0x7E).map(lambda code: bytes([code])),
)

OUTPUT = st.lists(st.one_of(CONTROLS, STRINGS, TEXTS, ESCAPES), max_size=40).map(b"".join)

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 12))


def check(terminal: Emulator) -> None:
    """What the screen counts on holds, and it can be painted and looked through."""
    assert not terminal.trouble
    assert (terminal.board.width, terminal.board.height) == (terminal.columns, terminal.rows)
    painter = Painter(terminal.board.palette.colors)
    page = terminal.port.page
    assert page.height == terminal.rows
    shown = [painter.strip(page.line(y).cells) for y in range(page.height)]
    look = Look(terminal)
    look.find("e")
    look.mark(Place(0, 3), Place(10**6, 0))
    shown += [painter.strip(cells) for cells in look.rows()]
    for strip in shown:
        assert strip.cell_length == terminal.columns
        assert safe_line(strip.text).split() == strip.text.split()


@settings(max_examples=150)
@given(OUTPUT, st.lists(st.tuples(st.integers(0, 2_000), SIZES), max_size=4), st.data())
def test_any_output_at_any_size(
    output: bytes, resizes: list[tuple[int, tuple[int, int]]], data: st.DataObject
) -> None:
    terminal = Emulator(20, 6)
    at = 0
    for where, size in sorted(resizes):
        terminal.feed(output[at:where])
        at = max(at, where)
        terminal.resize(*size)
    terminal.feed(output[at:])
    check(terminal)
    terminal.answers()
    terminal.restore()
    terminal.begin_run("again")
    check(terminal)


@settings(max_examples=100)
@given(OUTPUT, st.lists(st.integers(1, 50), max_size=30))
def test_pieces_change_nothing(output: bytes, cuts: list[int]) -> None:
    whole, pieces = Emulator(20, 6), Emulator(20, 6)
    whole.feed(output)
    at = 0
    for cut in cuts:
        pieces.feed(output[at : at + cut])
        at += cut
    pieces.feed(output[at:])
    assert cells_of(pieces) == cells_of(whole)
    assert pieces.port.cursor == whole.port.cursor
    assert pieces.answers() == whole.answers()


WORDS = [
    *(b"\x1b[", b"\x1b]", b"\x1bP", b"\x9b", b"?", b";", b"1", b"49", b"h", b"l", b"m", b"H", b"J"),
    *(b"r", b"\x07", b"\x1b\\", b"\x18", b"\xe6\xbc\xa2", b"\xcc\x81", b"\r\n", b"text ", b"$"),
]


def noise(source: random.Random, size: int) -> bytes:
    """Half raw bytes, half pieces of sequences in any order."""
    if source.random() < 0.5:
        return source.randbytes(size)
    return b"".join(source.choices(WORDS, k=size // 2))


def soak(total: int, seed: int) -> None:
    source = random.Random(seed)
    terminal = Emulator(80, 24)
    fed = 0
    while fed < total:
        piece = noise(source, source.choice([1, 10, 300, 4_000]))
        terminal.feed(piece)
        terminal.answers()
        fed += len(piece)
        if source.random() < 0.02:
            terminal.resize(source.randint(-1, 200), source.randint(-1, 60))
    check(terminal)


def test_a_good_deal_of_noise() -> None:
    soak(200_000, seed=1)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_ten_megabytes_of_noise() -> None:
    """Half a minute of one core where nothing else runs; what hangs meets the time-out."""
    soak(10_000_000, seed=2)

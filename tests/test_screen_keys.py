"""Texts and key names become the strokes of a keyboard with the guest's layout."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.core.screen.keys import Stroke
from workstation.core.screen.layouts import ALTGR, LAYOUTS, SHIFT, pressed, typed
from workstation.errors import UsageError

SIGNS = string.ascii_letters + string.digits + string.punctuation + " \n\t"


def codes(strokes: list[Stroke]) -> str:
    """`+2a +1e -1e -2a`"""
    return " ".join(f"{'+' if stroke.down else '-'}{stroke.code:02x}" for stroke in strokes)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_sign_of_ascii_can_be_typed(layout: str) -> None:
    for sign in SIGNS:
        assert typed(sign, layout), sign


@pytest.mark.parametrize(
    ("layout", "char", "expected"),
    [
        ("us", "a", "+1e -1e"),
        ("us", "A", "+2a +1e -1e -2a"),
        ("us", "@", "+2a +03 -03 -2a"),
        ("us", "|", "+2a +2b -2b -2a"),
        ("gb", "@", "+2a +28 -28 -2a"),
        ("gb", '"', "+2a +03 -03 -2a"),
        ("gb", "#", "+2b -2b"),
        ("gb", "\\", "+56 -56"),
        ("de", "z", "+15 -15"),
        ("de", "@", "+b8 +10 -10 -b8"),
        ("de", "\\", "+b8 +0c -0c -b8"),
        ("de", "ß", "+0c -0c"),
        ("de", "/", "+2a +08 -08 -2a"),
        ("de", "^", "+29 -29 +39 -39"),
        ("de", "é", "+0d -0d +12 -12"),
        ("de", "€", "+b8 +12 -12 -b8"),
        ("fr", "a", "+10 -10"),
        ("fr", "1", "+2a +02 -02 -2a"),
        ("fr", "é", "+03 -03"),
        ("fr", "ê", "+1a -1a +12 -12"),
        ("fr", "ï", "+2a +1a -1a -2a +17 -17"),
        ("fr", "^", "+b8 +0a -0a -b8"),
        ("fr", "{", "+b8 +05 -05 -b8"),
        ("us", "\n", "+1c -1c"),
    ],
)
def test_a_character_is_typed_where_the_layout_has_it(
    layout: str, char: str, expected: str
) -> None:
    assert codes(typed(char, layout)) == expected


def test_a_line_end_of_windows_is_one_key() -> None:
    assert typed("a\r\nb", "us") == typed("a\nb", "us")


def test_what_a_layout_lacks_is_named() -> None:
    with pytest.raises(UsageError, match="layout “us” has no “ß”") as raised:
        typed("Straße", "us")
    assert "devices.keyboard" in raised.value.hint
    with pytest.raises(UsageError, match=r"U\+0001"):
        typed("\x01", "us")


@pytest.mark.parametrize(
    ("chord", "expected"),
    [
        ("ctrl-alt-del", "+1d +38 +d3 -d3 -38 -1d"),
        ("Ctrl+Alt+F2", "+1d +38 +3c -3c -38 -1d"),
        ("f12", "+58 -58"),
        ("enter", "+1c -1c"),
        ("a", "+1e -1e"),
        ("A", "+2a +1e -1e -2a"),
        ("super", "+db -db"),
        ("win-l", "+db +26 -26 -db"),
        ("print", "+54 -54"),
        ("ctrl--", "+1d +0c -0c -1d"),
        ("-", "+0c -0c"),
        ("shift-A", "+2a +1e -1e -2a"),
        ("alt-tab", "+38 +0f -0f -38"),
    ],
)
def test_keys_are_pressed_by_their_names(chord: str, expected: str) -> None:
    assert codes(pressed(chord, "us")) == expected


def test_a_chord_presses_the_key_that_has_the_letter_in_the_guests_layout() -> None:
    assert codes(pressed("ctrl-a", "fr")) == "+1d +10 -10 -1d"


@pytest.mark.parametrize("chord", ["", " ", "ctrl-foo", "foo-a", "é", "f13", "a-b"])
def test_what_is_no_key_is_told(chord: str) -> None:
    with pytest.raises(UsageError):
        pressed(chord, "us")


@given(st.text(), st.sampled_from(sorted(LAYOUTS)))
def test_every_text_is_typed_whole_or_not_at_all_and_no_key_stays_down(
    text: str, layout: str
) -> None:
    try:
        strokes = typed(text, layout)
    except UsageError:
        return
    down: set[int] = set()
    for code, pressed_down in strokes:
        assert (code in down) is not pressed_down
        (down.add if pressed_down else down.remove)(code)
    assert not down


@given(st.text(max_size=20))
def test_any_word_is_a_chord_or_a_clear_error(word: str) -> None:
    try:
        assert pressed(word, "us")
    except UsageError as error:
        assert error.hint


def test_shift_and_altgr_are_held_around_their_key() -> None:
    for layout in LAYOUTS.values():
        for char in layout.shifted.replace(" ", ""):
            key = layout.key_of(char)
            assert key and (len(key) == 1 or key[1] in (SHIFT, ALTGR))

"""Trees, lines and pictures of layers, without a screen."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from rich.text import Text
from textual.strip import Strip

from tests.fakes.layers import NOW, a_layer, demo_past, screen_of_a_guest
from workstation.model.layer import Entry
from workstation.ui import picture
from workstation.ui.blocks import BlockStrip, strips_of
from workstation.ui.past import Past, ago, freed_without, title_of, tree
from workstation.ui.story import story


def drawn(*entries: Entry) -> list[str]:
    """The tree as text."""
    rows = tree(Past(entries))
    return [f"{row.lines}{title_of(row.entry) if row.entry else 'now'}" for row in rows]


def test_a_straight_line() -> None:
    assert drawn(a_layer(1, note="images"), a_layer(2, "a", 1), a_layer(3, "b", 2, head=True)) == [
        "now", "b", "a", "image",
    ]  # fmt: skip


def test_branches_lead_off_to_the_right_of_what_they_stand_on() -> None:
    assert drawn(*demo_past()) == [
        "now", "golden", "├─before-nginx", "├─old-kernel", "installed", "image",
    ]  # fmt: skip


def test_branches_without_the_newest_layer_are_folded_until_turned() -> None:
    past = Past(
        (a_layer(1, "a", head=True), a_layer(2, "b", 1), a_layer(3, "c", 2), a_layer(4, "d", 1))
    )
    folded = [row for row in tree(past) if row.folded]
    assert [(row.above, title_of(row.entry)) for row in folded if row.entry] == [(1, "b")]
    turned = {row.entry.layer for row in folded if row.entry}
    rows = [(title_of(row.entry) if row.entry else "now", row.above) for row in tree(past, turned)]
    assert sorted(rows) == [("a", 0), ("b", 1), ("c", 0), ("d", 0), ("now", 0)]
    assert not any(row.folded for row in tree(past, turned))


def test_after_a_revert_what_was_newest_is_a_branch() -> None:
    past = (a_layer(1, "a", head=True), a_layer(2, "b", 1), a_layer(3, "c", 2), a_layer(4, "d", 2))
    assert drawn(*past) == ["now", "│ c", "│ ├─d", "├─b", "a"]


def test_a_machine_on_nothing_with_snapshots_beside_it() -> None:
    assert drawn(a_layer(1, "a", hours=2), a_layer(2, "b", 1), a_layer(3, "c", hours=1)) == [
        "now", "c", "b", "a",
    ]  # fmt: skip


def test_a_layer_without_a_name_is_called_by_its_note() -> None:
    past = (a_layer(1, note="golden moment"), a_layer(2, "", 1), a_layer(3, "b", 2, head=True))
    assert drawn(*past) == ["now", "b", "unnamed", "golden moment"]


def test_nothing_but_now() -> None:
    assert drawn() == ["now"]


def test_a_long_chain() -> None:
    past = [a_layer(n, f"t{n}", n - 1 or None, head=n == 3000) for n in range(1, 3001)]
    assert drawn(*past)[:2] == ["now", "t3000"]


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(0, 12))
def test_every_layer_is_in_the_tree_once_and_above_what_it_stands_on(
    parents: list[int], head: int
) -> None:
    past = [
        a_layer(n + 1, f"t{n}", parent or None, head=n == head)
        for n, parent in enumerate(min(parent, n) for n, parent in enumerate(parents))
    ]
    turned: set[str] = set()
    rows = tree(Past(tuple(past)))
    while hidden := {row.entry.layer for row in rows if row.folded and row.entry}:
        turned |= hidden
        rows = tree(Past(tuple(past)), turned)
    order = [row.entry.layer if row.entry else "" for row in rows]
    assert sorted(order) == sorted(["", *(entry.layer for entry in past)])
    for entry in past:
        if entry.parent:
            assert order.index(entry.layer) < order.index(entry.parent)
        if entry.head:
            assert order.index("") < order.index(entry.layer)


def test_what_comes_back() -> None:
    past = Past(tuple(demo_past()))
    own = {entry.tags[0]: entry.own for entry in past.entries if entry.tags}
    assert freed_without(past, "nginx-works") == own["nginx-works"]
    assert freed_without(past, "before-nginx") == 0
    assert freed_without(past, "golden") == 0
    assert freed_without(past, "installed") == 0


def test_what_only_the_last_name_kept_comes_back_with_it() -> None:
    past = Past((a_layer(1, "", mib=3), a_layer(2, "", 1, mib=4), a_layer(3, "a", 2, mib=5)))
    assert freed_without(past, "a") == 12 * 2**20
    shared = Past((a_layer(1, "", mib=3, shared=True), a_layer(3, "a", 1, mib=5)))
    assert freed_without(shared, "a") == 5 * 2**20


# -- in a line --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (99, "○ image ── ○ installed ── ◆ golden ── ● now  (2 h, 84 MiB since golden)"),
        (60, "… ── ◆ golden ── ● now  (2 h, 84 MiB since golden)"),
        (44, "○ image ── … ── ◆ golden ── ● now  (2 h)"),
        (30, "… ── ◆ golden ── ● now  (2 h)"),
        (24, "… ── ◆ golden ── ● now"),
        (8, "● now"),
    ],
)  # fmt: skip
def test_the_line_gives_way_where_there_is_less_room(width: int, line: str) -> None:
    assert story(Past(tuple(demo_past()), 84 * 2**20), width, NOW).plain == line


def test_the_line_of_a_machine_without_snapshots() -> None:
    assert story(Past(), 60, NOW).plain == "● now  no snapshot yet"
    assert story(None, 60, NOW).plain == "…"
    assert story(Past(trouble="gone"), 60, NOW).plain == "gone"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "just now"), (59, "just now"), (60, "1 min ago"), (7199, "119 min ago"),
     (7200, "2 h ago"), (172_800, "2 d ago"), (-5, "just now")],
)  # fmt: skip
def test_how_long_ago(seconds: float, text: str) -> None:
    assert ago(datetime.fromtimestamp(NOW - seconds, UTC), NOW) == text


# -- pictures ---------------------------------------------------------------------


def ppm(width: int, height: int, pixels: bytes) -> bytes:
    return b"P6\n%d %d\n255\n" % (width, height) + pixels


def read(directory: Path, data: bytes) -> Image.Image | None:
    file = directory / "picture.ppm"
    file.write_bytes(data)
    return picture.read_picture(file)


def test_a_picture_keeps_its_proportions_and_its_light(tmp_path: Path) -> None:
    white, black = b"\xff" * 3, b"\x00" * 3
    found = read(tmp_path, ppm(4, 2, (white + black) * 4))
    assert found
    assert picture.shrunk(found, 4, 40).tobytes() == (white + black) * 4
    small = picture.shrunk(found, 2, 40)
    assert small.size == (2, 1)
    assert small.tobytes()[0] > 128  # half the light is brighter than half the number


@pytest.mark.parametrize(
    "data",
    [
        b"", b"P6", b"P6\n2 2\n255\n\x00", b"P6\n0 5\n255\n", b"P6\n1 1\n255\n\x00",
        b"P6\n99999 99999\n255\nx", b"P6\n-1 1\n255\n\x00\x00\x00", b"\x89PNG\r\n",
        b"P6\n7000 6000\n255\n", b"P6\n12000 9000\n255\n", b"P6\nx 1\n255\n\x00\x00\x00",
    ],
)  # fmt: skip
def test_what_is_no_picture_is_none(data: bytes, tmp_path: Path) -> None:
    assert read(tmp_path, data) is None


@given(st.binary(max_size=200), st.sampled_from([b"P6\n", b"P6 3 2 255 ", b""]))
def test_any_bytes_are_a_picture_or_none(data: bytes, begin: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        found = read(Path(directory), begin + data)
    if found:
        picture.shrunk(found, 5, 5)


def test_a_picture_is_read_from_a_plain_file_only(tmp_path: Path) -> None:
    file = screen_of_a_guest(tmp_path)
    assert picture.read_picture(file)
    link = tmp_path / "link.ppm"
    link.symlink_to(file)
    assert picture.read_picture(link) is None
    assert picture.read_picture(tmp_path) is None
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert picture.read_picture(pipe) is None


@given(st.integers(1, 90), st.integers(1, 40))
def test_the_strips_fit_the_pane(columns: int, rows: int) -> None:
    found = Image.frombytes("RGB", (7, 3), bytes(range(63)))
    drawn = strips_of(picture.shrunk(found, columns, 2 * rows), columns)
    assert 1 <= len(drawn) <= rows
    assert all(strip.cell_length == columns for strip in drawn)


def test_a_line_of_blocks_is_written_as_its_segments_are() -> None:
    console = Console(color_system="truecolor", force_terminal=True)
    upper, lower = bytes(range(30)) + b"\x05" * 6, bytes(range(60, 90)) + b"\x09" * 6
    strip = BlockStrip(upper, lower, 2, 3)
    shown = Text.from_ansi(strip.render(console))
    plain = Text.from_ansi(Strip(list(strip)).render(console))
    assert shown.plain == plain.plain
    assert [shown.get_style_at_offset(console, at) for at in range(17)] == [
        plain.get_style_at_offset(console, at) for at in range(17)
    ]


def test_a_terminal_of_256_colours_gets_those() -> None:
    console = Console(color_system="256", force_terminal=True)
    written = BlockStrip(b"\xff\0\0", b"\0\0\xff").render(console)
    assert "38;5;" in written and "38;2;" not in written


def test_the_strips_are_half_blocks_in_the_middle(tmp_path: Path) -> None:
    drawn = picture.strips(screen_of_a_guest(tmp_path), 40, 20)
    assert all(strip.cell_length <= 40 for strip in drawn)
    assert len(drawn) <= 20
    assert {strip.text for strip in drawn} == {"▀" * 40}
    narrow = picture.strips(screen_of_a_guest(tmp_path), 60, 5)
    assert {strip.text for strip in narrow} == {" " * 22 + "▀" * 16 + " " * 22}

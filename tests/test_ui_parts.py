"""The parts of the screens that need no screen."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.core.settings import load_settings, save_theme
from workstation.model.machine import MachineView, Sample, State
from workstation.model.profile import Forward, Profile
from workstation.paths import Paths
from workstation.ui import guest_text
from workstation.ui.new.wish import free_name
from workstation.ui.spark import spark
from workstation.ui.widgets.details import meter_line
from workstation.ui.widgets.facts import address


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"old\x1b[2J\x1b[Hnew", ["new"]),
        (b"old\x1bcnew", ["new"]),
        (b"10 %\r20 %\r30 %", ["30 %"]),
        (b"\x1b[1;32mgreen\x1b[0m", ["green"]),
        (b"\x1b]0;title\x07text", ["text"]),
        (b"\x1b]52;c;AAAA\x1b\\text", ["text"]),
        (b"\x1bPq#0;2;0;0;0\x1b\\text", ["text"]),
        (b"ab\x08 \x08c", ["ac"]),
        (b"\xff\xfe", ["\ufffd\ufffd"]),
        (b"a\tb", ["a       b"]),
        (b"x" * 25, ["x" * 20, "x" * 5]),
        (b"cut off \x1b[", ["cut off"]),
        (b"", []),
        (b"\r\n \r\n", []),
    ],
)
def test_what_a_guest_printed_as_plain_lines(data: bytes, lines: list[str]) -> None:
    assert guest_text.preview(data, lines=10, width=20) == lines


@given(st.binary(max_size=2000), st.integers(0, 12), st.integers(0, 90))
def test_any_bytes_become_few_short_harmless_lines(data: bytes, lines: int, width: int) -> None:
    shown = guest_text.preview(data, lines=lines, width=width)
    assert len(shown) <= lines
    for line in shown:
        assert len(line) <= width
        assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in line)


def test_only_the_last_lines_are_shown() -> None:
    data = b"\n".join(b"line %d" % number for number in range(100))
    assert guest_text.preview(data, lines=2, width=20) == ["line 98", "line 99"]


@pytest.mark.parametrize(
    ("values", "width", "top", "bars"),
    [
        ([0, 0.5, 1], 3, 1, "▁▅█"),
        ([9, 9, 0], 2, 1, "█▁"),
        ([1], 3, 1, "  █"),
        ([], 2, 1, "  "),
        ([-1, 2], 2, 1, "▁█"),
    ],
)
def test_a_sparkline(values: list[float], width: int, top: float, bars: str) -> None:
    assert spark(values, width, top) == bars


@pytest.mark.parametrize(
    ("forward", "text"),
    [
        ("8080:80", "http://127.0.0.1:8080  →  80"),
        ("8443:443", "https://127.0.0.1:8443  →  443"),
        ("2222:22", "workstation ssh web  →  22"),
        ("5432:5432", "127.0.0.1:5432  →  5432"),
        ("5353:53/udp", "udp 127.0.0.1:5353  →  53"),
        ("8000-8010:9000-9010", "tcp 127.0.0.1:8000-8010  →  9000-9010"),
        ("0.0.0.0:8080:80", "http://127.0.0.1:8080  →  80  ⚠ open to everybody on the network"),
    ],
)
def test_how_to_reach_a_port(forward: str, text: str) -> None:
    assert address(Forward.model_validate(forward), "web").plain == text


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (49, "CPU   40 %  disk 1.5 MiB/s  RAM 98 MiB of 1 GiB"),
        (40, "CPU   40 %  RAM 98 MiB of 1 GiB"),
        (26, "CPU   40 %  RAM 98 MiB"),
        (12, "CPU   40 %"),
    ],
)
def test_a_narrow_line_of_figures_leaves_out_whole_ones(width: int, told: str) -> None:
    sample = Sample(0.0, 0.4, 98 * 2**20, disk_read=2.0**20, disk_write=2.0**19)
    view = MachineView(
        "web", State.RUNNING, profile=Profile.model_validate({"name": "web", "memory": "1 GiB"})
    )
    line = meter_line(view, [sample], width).plain
    assert line.replace("▄", "").split() == told.split()
    assert len(line) <= width


def test_a_free_name() -> None:
    assert free_name("a", []) == "a"
    assert free_name("a", ["a", "a-2"]) == "a-3"


def test_the_first_frame_needs_neither_the_core_nor_pydantic() -> None:
    program = (
        "import sys, workstation.ui.app; "
        "print([name for name in sys.modules if name.split('.')[0] == 'pydantic'"
        " or name.startswith(('workstation.core', 'workstation.qemu', 'workstation.profile'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "theme: nord\n"),
        ("", "theme: nord\n"),
        ("# mine\naccelerator: tcg", "# mine\naccelerator: tcg\ntheme: nord\n"),
        ("theme: old # x\naccelerator: tcg\n", "theme: nord\naccelerator: tcg\n"),
    ],
)
def test_the_theme_is_one_line_of_the_settings(
    before: str | None, after: str, tmp_path: Path
) -> None:
    paths = Paths(tmp_path, tmp_path / "config", tmp_path, tmp_path)
    if before is not None:
        paths.settings.parent.mkdir()
        paths.settings.write_text(before)
    save_theme(paths, "nord")
    assert paths.settings.read_text() == after
    assert load_settings(paths).theme == "nord"

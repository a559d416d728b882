"""What a guest prints is kept, bounded, by a process of its own: real pipes and processes."""

import asyncio
import errno
import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import eventually
from workstation.core.serial import log as serial
from workstation.qemu import line_log

SEGMENT = 10_000


@contextmanager
def kept(log: Path, size: int = SEGMENT) -> Iterator[int]:
    """A pipe whose content is kept; at its end the keeper has ended too."""
    where = [str(log), str(line_log.go_on(log)), str(size)]
    argv = ["/bin/sh", "-c", line_log.KEEP, "line-log", *where]
    with line_log.pipe() as source:
        sink = os.open(f"/dev/fd/{source}", os.O_WRONLY)
        keeper = subprocess.Popen(argv, stdin=source)
    try:
        yield sink
    finally:
        os.close(sink)
        keeper.wait(30)


def numbered(first: int, count: int) -> bytes:
    return b"".join(b"%09d\n" % number for number in range(first, first + count))


async def until_kept(log: Path, printed: int) -> None:
    await eventually(lambda: serial.size(log) >= printed)


async def test_each_byte_is_there_when_it_was_printed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with kept(log) as line:
        os.write(line, b"logi")
        await until_kept(log, 4)
        os.write(line, b"n: ")
        await asyncio.wait_for(serial.printed(log, b"login: "), 20)
        assert serial.tail(log, 3) == b"n: "
        # In colours, and in two pieces, it is the same text to who reads it.
        os.write(line, b"\x1b[1;36mweb\x1b[0m:\x1b[1")
        await until_kept(log, 24)
        told = asyncio.ensure_future(serial.printed(log, b"web:~#"))
        os.write(line, b";34m~\x1b[0m# ")
        await asyncio.wait_for(told, 20)
        await asyncio.wait_for(serial.printed(log, b"\x1b[1;34m~"), 20)
    assert serial.tail(log, 0) == b""


async def test_the_end_is_kept_under_offsets_that_stay(tmp_path: Path) -> None:
    log = tmp_path / "log"
    everything = numbered(0, 7_500)
    with kept(log) as line:
        for start in range(0, len(everything), 777):
            os.write(line, everything[start : start + 777])
        await until_kept(log, len(everything))
        await eventually(lambda: len(line_log.segments(log)) == 2)
        sizes = [line_log.length(segment.path) for segment in line_log.segments(log)]
        assert sizes == [SEGMENT, 5_000]
        assert serial.size(log) == 75_000
        assert serial.since(log, 74_990) == b"000007499\n"
        assert serial.since(log, 0) == everything[-15_000:]
        assert serial.tail(log, 12_000) == everything[-12_000:]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(serial.printed(log, b"000007498", since=74_990), 0.1)


async def test_a_follower_misses_nothing_of_what_is_kept(tmp_path: Path) -> None:
    log, seen = tmp_path / "log", b""
    with kept(log) as line:
        os.write(line, numbered(0, 500))
        await until_kept(log, 5_000)
        async for piece in serial.follow(log, forever=True, interval=0.01):
            seen += piece
            if len(seen) == 5_000:
                os.write(line, numbered(500, 1_000))
            if len(seen) >= 15_000:
                break
    assert seen == numbered(0, 1_500)


async def test_a_log_goes_on_after_a_resume_and_begins_anew_after_a_boot(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for first in (0, 100):
        with kept(log) as line:
            os.write(line, numbered(first, 100))
            await until_kept(log, (first + 100) * 10)
    assert serial.since(log, 500) == numbered(50, 150)
    line_log.begin_anew(log)
    assert serial.size(log) == 0
    with kept(log) as line:
        os.write(line, b"new")
        await until_kept(log, 3)
    assert serial.tail(log, 100) == b"new"


async def test_a_plain_file_is_read_in_the_same_way(tmp_path: Path) -> None:
    file = tmp_path / "qemu.log"
    assert serial.tail(file, 10) == b""
    file.write_bytes(b"one\ntwo\n")
    assert serial.tail(file, 4) == b"two\n"
    assert [piece async for piece in serial.follow(file, forever=False)] == [b"one\ntwo\n"]


async def test_a_user_with_many_pipes_gets_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux refuses a longer one past `pipe-user-pages-soft` (pipe(7)): 64 machines are enough."""

    def refused(*_: object) -> int:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(fcntl, "fcntl", refused)
    with kept(tmp_path / "log") as line:
        os.write(line, b"all the same")
        await until_kept(tmp_path / "log", 12)


async def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    """A directory that is gone stands for a disk that is full: nothing can be made in it."""
    log = tmp_path / "log"
    with kept(log) as line:
        os.write(line, b"first")
        await until_kept(log, 5)
        line_log.begin_anew(log)
        for _ in range(40):
            await asyncio.to_thread(os.write, line, b"x" * 100_000)
    assert serial.size(log) == 0

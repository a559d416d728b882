"""Guest data from one disk format to another: told as it goes, a stranger's under limits."""

import asyncio
import os
import re
import shutil
from asyncio.subprocess import PIPE
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from workstation.errors import HostError, InvalidError, WorkstationError, room_hint
from workstation.model.units import format_size
from workstation.qemu import secrets
from workstation.qemu.blockdev import Node
from workstation.qemu.extent import Extent
from workstation.qemu.leash import leashed
from workstation.qemu.options import as_json

Told = Callable[[float], None]
"""Gets the part that is done, 0 to 1."""

_LIMITED = (
    'ulimit -c 0; ulimit -v "$1"; ulimit -H -t "$(($2 + 5))"; ulimit -S -t "$2"; ulimit -f "$3";'
    ' shift 3; exec "$@"'
)
"""Runs a program under limits: KiB of addresses, seconds of CPU, 512-byte blocks of a file.

The hard limit of CPU would be a SIGKILL, which says nothing.
"""

_ADDRESSES = 2 * 2**30
"""Bytes of address space: qemu-img with its threads takes 0.7 GB of it, hardly any of it real."""

_WORDS_KEPT = 2000
_PERCENT = re.compile(rb"\(([0-9.]+)/100%\)")
_TOO_LONG, _TOO_LARGE = 152, 153
"""A shell's exit codes after SIGXCPU and SIGXFSZ."""


class Limits(NamedTuple):
    """What qemu-img may use on a file that somebody else made."""

    output: int
    """Bytes of the file that it writes."""
    seconds: int
    """Of CPU, and twice as many by the clock."""


async def convert(
    qemu_img: str,
    source: Node,
    output_format: str,
    target: Path,
    told: Told,
    *,
    options: Sequence[str] = (),
    limits: Limits | None = None,
    descriptors: Sequence[int] = (),
    reads: Sequence[Extent] = (),
) -> None:
    """Write what a guest sees of `source` to the new file `target`.

    `reads` are its files: those that are encrypted get their secrets.

    With `limits` it runs confined: no network, where this host lets us take it away, and no more
    of the host than they say. `descriptors` are those that the source names.
    """
    if not qemu_img:
        raise HostError("qemu-img is not installed", hint="workstation doctor says what to install")
    seconds = 2 * limits.seconds if limits else None
    with secrets.handed(reads) as handed:
        argv: Sequence[str] = (
            qemu_img, "convert", *secrets.objects(handed), "-p", "-O", output_format, *options,
            f"json:{as_json(source)}", str(target),
        )  # fmt: skip
        argv = _confined(argv, limits) if limits else argv
        try:
            async with asyncio.timeout(seconds):
                code, words = await _run(argv, told, (*descriptors, *handed.values()))
        except TimeoutError:
            code, words = _TOO_LONG, ""
    if code:
        raise _failure(code, words, limits)


async def _run(argv: Sequence[str], told: Told, descriptors: Sequence[int]) -> tuple[int, str]:
    """Exit code, and the end of what it complained about; never more than that is kept."""
    async with leashed(argv, stdout=PIPE, stderr=PIPE, descriptors=descriptors) as process:
        assert process.stdout and process.stderr
        _, words = await asyncio.gather(_follow(process.stdout, told), _last_words(process.stderr))
        await process.wait()
    return process.returncode or 0, words


async def _follow(stream: asyncio.StreamReader, told: Told) -> None:
    kept = b""
    while chunk := await stream.read(4096):
        kept = (kept + chunk)[-64:]
        if found := _PERCENT.findall(kept):
            told(min(1.0, float(found[-1]) / 100))


async def _last_words(stream: asyncio.StreamReader) -> str:
    kept = b""
    while chunk := await stream.read(65_536):
        kept = (kept + chunk)[-_WORDS_KEPT:]
    return kept.decode(errors="replace").strip()


def _confined(argv: Sequence[str], limits: Limits) -> Sequence[str]:
    numbers = (_ADDRESSES // 1024, limits.seconds, -(-limits.output // 512))
    return ("/bin/sh", "-c", _LIMITED, "limited", *map(str, numbers), *_offline(), *argv)


@cache
def _offline() -> tuple[str, ...]:
    """What runs a program without a network; nothing where this host does not let us."""
    program = shutil.which("unshare")
    if not program:
        return ()
    # As root a user namespace would take away the right to read other users' files.
    words = (program, "--net", "--") if os.geteuid() == 0 else (program, "-r", "--net", "--")
    import subprocess

    tried = subprocess.run([*words, "true"], capture_output=True, check=False, timeout=10)
    return words if tried.returncode == 0 else ()


def offline() -> bool:
    """Whether a stranger's images are read without a network here."""
    return bool(_offline())


def _failure(code: int, words: str, limits: Limits | None) -> WorkstationError:
    if limits and (code == _TOO_LARGE or "File too large" in words):
        return InvalidError(
            f"its content is more than the {format_size(limits.output)} that it may become here",
            hint="a disk image this small should not grow so large: ask whoever made it; or make"
            " room on the disk",
        )
    if limits and code == _TOO_LONG:
        return InvalidError("reading it took too long", hint="ask whoever made it")
    what = words.removeprefix("qemu-img: ") or f"it ended with {code}"
    return WorkstationError(f"qemu-img: {what}", hint=room_hint(words), details=words)

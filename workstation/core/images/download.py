"""Files over HTTP: gone on with after a cut, mirror after mirror, within bounds.

Nothing here decides that a file is whole: its checksum does (pull.py). So a file may be begun at
one mirror and ended at another.
"""

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

from workstation import __version__
from workstation.core.imaging.work import in_thread
from workstation.errors import HostError

T = TypeVar("T")

Tell = Callable[[float, float | None], None]
"""Called with the bytes that are there, and how many there will be, where that is known."""

PIECE = 2**20
"""Bytes that are gathered before they are written."""

REDIRECTS = 10
ATTEMPTS = 3
"""Without a single byte between them; then the next mirror has its turn."""

TIMEOUT = httpx.Timeout(60.0, connect=15.0)
"""A server that is silent for so long counts as gone."""

_HEADERS = {"User-Agent": f"workstation/{__version__}", "Accept-Encoding": "identity"}


class _RefusedError(Exception):
    """This mirror will not do, whatever is tried."""


class _CutError(Exception):
    """The connection ended early; what was read is kept."""


@asynccontextmanager
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """What downloads share. Proxies are taken from the environment, as by other programs."""
    limits = httpx.Limits(max_connections=8)
    async with httpx.AsyncClient(timeout=TIMEOUT, headers=_HEADERS, limits=limits) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Target:
    """Where a download goes, and what it may take."""

    part: Path
    """Grows as the file comes in; what is there already is gone on with."""
    largest: int
    """Bytes; a larger file is refused."""
    room: Callable[[int], None]
    """Asked before bytes come; raises where there is no room for so many more."""
    tell: Tell

    @property
    def size(self) -> int:
        with suppress(FileNotFoundError):
            return self.part.stat().st_size
        return 0

    @property
    def notes(self) -> Path:
        """Beside it: the address that it comes from, and which version that had."""
        return self.part.with_name(f"{self.part.name}.json")

    def forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)


async def fetch(http: httpx.AsyncClient, urls: Sequence[str], target: Target) -> str:
    """Make `target.part` the whole file; returns the address that it (or its end) came from.

    Raises HostError, with every mirror's failure, where none had it.
    """

    async def one(url: str) -> str:
        await _persist(http, url, target)
        return url

    return await _first(urls, one, "the file could not be downloaded")


async def short(
    http: httpx.AsyncClient, urls: Sequence[str], most: int, otherwise: str
) -> tuple[bytes, str]:
    """A small file, from the first address that has it, and that address.

    Raises HostError, which says `otherwise`, where none has it.
    """

    async def one(url: str) -> tuple[bytes, str]:
        return await _short(http, url, most), url

    return await _first(urls, one, otherwise)


async def _first(urls: Sequence[str], get: Callable[[str], Awaitable[T]], what: str) -> T:
    failures = []
    for url in urls:
        try:
            return await get(url)
        except (_RefusedError, _CutError, httpx.HTTPError, httpx.InvalidURL) as error:
            failures.append(f"{url}: {error or type(error).__name__}")
    raise HostError(
        what,
        hint="check the network, then do the same again: it goes on where it was cut off",
        details="\n".join(failures),
    )


async def _short(http: httpx.AsyncClient, url: str, most: int) -> bytes:
    async with _opened(http, url, {}) as answer:
        if answer.status_code != httpx.codes.OK:
            raise _RefusedError(_status(answer))
        data = b""
        async for chunk in answer.aiter_raw():
            data += chunk
            if len(data) > most:
                raise _RefusedError(f"more than {most} bytes, where a short text was expected")
    return data


async def _persist(http: httpx.AsyncClient, url: str, target: Target) -> None:
    """Go on after every cut, as long as something comes."""
    idle = 0
    while True:
        before = target.size
        try:
            await _once(http, url, target)
            return
        except (_CutError, httpx.TransportError):
            idle = 0 if target.size > before else idle + 1
            if idle == ATTEMPTS:
                raise


async def _once(http: httpx.AsyncClient, url: str, target: Target) -> None:
    async with _opened(http, url, _range(url, target)) as answer:
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            _maybe_whole(answer, target)
            return
        total = _begin(answer, url, target)
        if total is not None and total > target.largest:
            raise _RefusedError(f"{total} bytes, and at most {target.largest} are expected")
        target.room((total or target.size) - target.size)
        await _write(answer, target, total)
    if total is not None and target.size != total:
        raise _CutError(f"ended after {target.size} of {total} bytes")


def _range(url: str, target: Target) -> dict[str, str]:
    """Ask for the rest only; where the file has changed there since, for all of it."""
    if not target.size:
        return {}
    wanted = {"Range": f"bytes={target.size}-"}
    with suppress(OSError, ValueError):
        notes = json.loads(target.notes.read_text())
        if notes["url"] == url and notes["version"]:
            wanted["If-Range"] = notes["version"]
    return wanted


def _begin(answer: httpx.Response, url: str, target: Target) -> int | None:
    """Bring the part to where the answer begins; returns the whole file's size, if it is told."""
    if answer.status_code == httpx.codes.PARTIAL_CONTENT:
        start, total = _content_range(answer)
        if start != target.size:
            target.forget()
            raise _CutError("it answered with another part than was asked for")
        return total
    if answer.status_code != httpx.codes.OK:
        raise _RefusedError(_status(answer))
    target.forget()
    version = answer.headers.get("ETag", "")
    # A weak one says that the content is about the same (RFC 9110, 8.8.1).
    if not version or version.startswith("W/"):
        version = answer.headers.get("Last-Modified", "")
    target.notes.write_text(json.dumps({"url": url, "version": version}))
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _content_range(answer: httpx.Response) -> tuple[int, int | None]:
    """`bytes 5-9/10` (RFC 9110, 14.4): where it begins, and the size of the whole."""
    said = answer.headers.get("Content-Range", "")
    span, _, total = said.removeprefix("bytes ").partition("/")
    start = span.partition("-")[0]
    if not start.isdecimal():
        raise _RefusedError(f"it answered with a part that it does not name: “{said[:80]}”")
    return int(start), int(total) if total.isdecimal() else None


def _maybe_whole(answer: httpx.Response, target: Target) -> None:
    """There is nothing after what is here: it is all, or it is of another file."""
    total = answer.headers.get("Content-Range", "").rpartition("/")[2]
    if total.isdecimal() and int(total) == target.size:
        return
    target.forget()
    raise _CutError("what was downloaded before is not of this file")


async def _write(answer: httpx.Response, target: Target, total: int | None) -> None:
    """Add the body to the part; what has come before an error is in it too."""
    end = target.largest if total is None else total
    with target.part.open("ab", buffering=0) as file:
        size, waiting = file.tell(), bytearray()
        try:
            async for chunk in answer.aiter_raw():
                size += len(chunk)
                if size > end:
                    raise _RefusedError(f"more than the {end} bytes that were expected")
                waiting += chunk
                target.tell(size, total)
                if len(waiting) >= PIECE:
                    full, waiting = waiting, bytearray()
                    await in_thread(_write_all, file, full)
        finally:
            _write_all(file, waiting)


def _write_all(file: io.FileIO, data: bytearray) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


@asynccontextmanager
async def _opened(
    http: httpx.AsyncClient, url: str, headers: dict[str, str]
) -> AsyncIterator[httpx.Response]:
    """The answer, its body still to be read. Redirects lead to http and https only."""
    for _ in range(REDIRECTS + 1):
        async with http.stream("GET", url, headers=headers, follow_redirects=False) as answer:
            if not answer.has_redirect_location:
                yield answer
                return
            there = answer.url.join(answer.headers["Location"])
        if there.scheme not in ("http", "https"):
            raise _RefusedError(f"it leads to an address that is not of the web: {there.scheme}:")
        url = str(there)
    raise _RefusedError(f"it leads on and on, more than {REDIRECTS} times")


def _status(answer: httpx.Response) -> str:
    return f"the server says {answer.status_code} {answer.reason_phrase}"[:120]

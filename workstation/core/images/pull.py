"""An image of the catalog comes into the library: downloaded, proven, unpacked, looked at."""

import asyncio
import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import httpx

from workstation.core.images import checksums, download
from workstation.core.images.checksums import Checksum
from workstation.core.images.look import look
from workstation.core.images.signatures import Proof
from workstation.core.images.unpack import unpack
from workstation.core.images.workshop import PART
from workstation.core.imaging.work import in_thread
from workstation.core.room import check_cache
from workstation.errors import BusyError, InvalidError, UsageError
from workstation.model.image import CatalogImage, Packing

_MARGIN = 4
"""So many times as large as its catalog says may a file be: new releases grow."""

_LARGEST_DISK = 256 * 2**30
"""Bytes that an unpacked image may have where its catalog does not say how large it is."""


class Tell(Protocol):
    """How far it is: what goes on, bytes done, bytes in all where that is known."""

    def __call__(self, title: str = "", done: float = 0, total: float | None = None) -> None: ...


def check(image: CatalogImage) -> None:
    """Raise UsageError where a person has to bring the file."""
    if not image.urls:
        raise UsageError(
            f"“{image.name}” cannot be downloaded by the program: {image.given.strip()}",
            hint=f"then: workstation images add FILE --name {image.name}",
        )


async def pull(image: CatalogImage, root: Path, out: Path, tell: Tell) -> dict[str, str]:
    """Put the image's file into the directory `out`; returns what the manifest says of its origin.

    What was downloaded stays below `root` when this is cut off or cancelled, and is gone on with
    the next time. A file with another checksum than its publisher's leaves nothing behind.
    """
    with _part(root, image) as part:
        async with download.client() as http:
            proof = Proof(http, image)
            wanted, listed_at = await _wanted(http, image, proof)
            target = download.Target(
                part,
                largest=image.download * _MARGIN,
                room=lambda needed: check_cache(root, needed + _unpacked(image)),
                tell=lambda done, total: tell(f"pull {image.name}", done, total),
            )
            origin = await _proven(http, image, target, wanted, tell)
            await _signed(proof, target)
        try:
            await _finish(image, part, out / image.kept_name, tell)
        except InvalidError:
            # To download it once more would bring the same.
            target.forget()
            raise
        target.forget()
    checksum = f"{wanted.algorithm}:{wanted.value}"
    return {"origin": origin, "checksum": checksum, "of": listed_at, "signature": proof.words}


@contextmanager
def _part(root: Path, image: CatalogImage) -> Iterator[Path]:
    """Where the download grows; one program at a time has it."""
    directory = root / f"{PART}{image.name}"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"“{image.name}” is just being downloaded", hint="wait for it, or cancel that"
            ) from None
        try:
            yield directory / "file"
        finally:
            with suppress(OSError):  # not empty: it is gone on with the next time
                directory.rmdir()
    finally:
        os.close(held)


async def _signed(proof: Proof, target: download.Target) -> None:
    try:
        await proof.of_file(target.part)
    except InvalidError:
        target.forget()
        raise


async def _wanted(
    http: httpx.AsyncClient, image: CatalogImage, proof: Proof
) -> tuple[Checksum, str]:
    """What the file's checksum has to be, and where that is said."""
    if image.hash or not image.checksums:
        return checksums.of_text(image.hash or ""), "catalog"
    otherwise = f"the list of checksums of “{image.name}” could not be downloaded"
    text, url = await download.short(http, image.checksums.urls, checksums.MOST_BYTES, otherwise)
    signed = (await proof.of_list(text)).decode(errors="replace")
    return checksums.find(signed, image.published_name, url), url


async def _proven(
    http: httpx.AsyncClient,
    image: CatalogImage,
    target: download.Target,
    wanted: Checksum,
    tell: Tell,
) -> str:
    """Download until a mirror's file has the checksum; returns that mirror's address."""
    left, wrong = list(image.urls), []
    while left:
        went_on = target.size > 0
        url = await download.fetch(http, left, target)
        tell(f"check {image.name}")
        if await in_thread(digest, target.part, wanted) == wanted.value:
            return url
        target.forget()
        wrong.append(url)
        # What was there before may have been of an older file: then this mirror is asked once more.
        left = left[left.index(url) + (not went_on) :]
    raise InvalidError(
        f"what was downloaded of “{image.name}” is not what its publisher lists: thrown away",
        hint="a mirror may be behind: try again later. Or somebody has changed the file",
        details="\n".join(["its checksum differs from the list’s at:", *wrong]),
    )


def digest(path: Path, wanted: Checksum) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, wanted.new).hexdigest()


def _unpacked(image: CatalogImage) -> int:
    """Bytes that it takes beside the download while it is unpacked, about."""
    return 0 if image.packing is Packing.NONE else image.download * 3


async def _finish(image: CatalogImage, part: Path, target: Path, tell: Tell) -> None:
    if image.packing is Packing.NONE:
        # A second name: should anything fail from here on, the download is still there.
        await asyncio.to_thread(target.hardlink_to, part)
    else:
        await _unpack(image, part, target, tell)
    await asyncio.to_thread(look, target)


async def _unpack(image: CatalogImage, part: Path, target: Path, tell: Tell) -> None:
    stop, loop = threading.Event(), asyncio.get_running_loop()

    def told(done: float, total: float | None) -> None:
        loop.call_soon_threadsafe(tell, f"unpack {image.name}", done, total)

    largest = (image.disk or _LARGEST_DISK // _MARGIN) * _MARGIN
    work: Callable[[], None] = lambda: unpack(  # noqa: E731
        part, image.packing, target, largest=largest, stop=stop, tell=told
    )
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([running])
        running.exception()
        raise

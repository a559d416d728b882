"""Is a bundle whole? Its structure, which is cheap, and its content, which is all of it."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import zstandard

from workstation.core.bundle import chunks, reader, seal, tape
from workstation.core.bundle.reader import Bundle
from workstation.core.bundle.vault import Vault
from workstation.errors import InvalidError
from workstation.model.bundle import BLOCK, CHUNK, PART, Frame, Manifest, StoredFile
from workstation.qemu import luks

Told = Callable[[int], None]
"""Gets bytes that are done; may raise to end the work."""


class Piece(NamedTuple):
    """One chunk of one file."""

    file: StoredFile
    number: int
    vault: Vault | None = None


@contextmanager
def opened(bundle: Bundle) -> Iterator[int]:
    """A descriptor to read a bundle by."""
    descriptor = os.open(bundle.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_chunk(descriptor: int, piece: Piece) -> bytes | memoryview:
    """A chunk as it was when it was written; raises InvalidError where it is not.

    What is returned is good until the calling thread reads its next one.
    """
    file, number, vault = piece
    length = file.length(number)
    data: bytes | memoryview
    if file.form == "plain":
        data = chunks.read_here(descriptor, file.offset + number * CHUNK, length)
    elif file.form == "luks":
        data = _decrypted(descriptor, piece)[:length]
    else:
        frame = file.frames[number]
        data = _unpacked(_opened(descriptor, frame, vault), length)
    if len(data) != length or hashlib.sha256(data).digest() != file.digest(number):
        raise _damaged(piece)
    return data


def check_chunk(descriptor: int, piece: Piece) -> int:
    """The same without what is in it; returns its bytes. An encrypted disk needs no key."""
    file, number, _ = piece
    if file.form != "luks":
        return len(read_chunk(descriptor, piece))
    known = bytes.fromhex(file.encrypted[64 * number : 64 * number + 64])
    if hashlib.sha256(_as_it_lies(descriptor, piece)).digest() != known:
        raise _damaged(piece)
    return file.length(number)


def read_bytes(
    descriptor: int, file: StoredFile, vault: Vault | None, offset: int, size: int
) -> bytes:
    """Bytes of a file that lies in one piece, unverified."""
    if file.form == "plain" or vault is None:
        return chunks.read(descriptor, file.offset + offset, size)
    first = offset // luks.SECTOR
    length = tape.padded(offset + size) - first * luks.SECTOR
    place = file.offset + first * luks.SECTOR
    raw = chunks.read(descriptor, place, length)
    data = luks.decrypt(vault.disks, raw, (place - seal.DISKS_AT) // luks.SECTOR)
    return data[offset - first * luks.SECTOR :][:size]


def _damaged(piece: Piece) -> InvalidError:
    where = f"in the 4 MiB from byte {piece.number * CHUNK} on"
    return InvalidError(
        f"{piece.file.name} is not as it was written, {where}",
        hint="copy the bundle again from where it was made, or export it again",
    )


def _as_it_lies(descriptor: int, piece: Piece) -> memoryview:
    file, number, _ = piece
    size = tape.padded(file.length(number))
    return chunks.read_here(descriptor, file.offset + number * CHUNK, size)


def _decrypted(descriptor: int, piece: Piece) -> bytes:
    file, number, vault = piece
    if vault is None:
        raise InvalidError(f"{file.name} is encrypted in a bundle that is not")
    sector = (file.offset + number * CHUNK - seal.DISKS_AT) // luks.SECTOR
    return luks.decrypt(vault.disks, _as_it_lies(descriptor, piece), sector)


def _opened(descriptor: int, frame: Frame, vault: Vault | None) -> bytes | memoryview:
    raw = chunks.read_here(descriptor, frame.offset, frame.size)
    return vault.open(raw) if vault else raw


def _unpacked(frame: bytes | memoryview, length: int) -> bytes:
    """At most `length` bytes come out of a frame, whatever it says of itself."""
    try:
        if zstandard.frame_content_size(frame) == length:
            return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError:
        pass
    return b""


def pieces(files: Iterable[StoredFile], vault: Vault | None = None) -> Iterator[Piece]:
    """Every chunk of those files; those of an encrypted bundle need its vault."""
    for file in files:
        for number in range(file.chunks):
            yield Piece(file, number, vault)


def check_content(bundle: Bundle, files: Iterable[StoredFile], told: Told) -> None:
    """Read those files; raises InvalidError at the first chunk that is not as it was written."""
    with opened(bundle) as descriptor, chunks.workers() as workers:

        def check(piece: Piece) -> int:
            return check_chunk(descriptor, piece)

        for done in workers.map(check, pieces(files, bundle.vault)):
            told(done)


def check_all(bundle: Bundle, told: Told) -> None:
    """Every byte of the file: its structure, and the content of all that was ever written."""
    check_content(bundle, check_structure(bundle), told)


_BEGINNING = [
    tape.Member(tape.HEAD, BLOCK, BLOCK),
    tape.Member(tape.LUKS, seal.LUKS_AT, luks.HEADER),
]
"""What no manifest names; who opens a bundle has compared it already."""


# -- structure ----------------------------------------------------------------------


def check_structure(bundle: Bundle) -> list[StoredFile]:
    """Walk through all members: each is one that a manifest names, where it says that it is.

    Returns every file that any of the bundle's manifests names. Raises InvalidError.
    """
    found: dict[tuple[int, int], StoredFile] = {}
    seen: list[tape.Member] = []
    with opened(bundle) as descriptor:
        at = 0
        for member in reader.members(descriptor, bundle.end):
            _check_padding(descriptor, member)
            at = member.end
            if member.name != tape.SEAL:
                seen.append(member)
                continue
            _check_generation(bundle, descriptor, member, seen, found)
            seen = []
    if at != bundle.end:
        raise InvalidError(f"{bundle} is not whole: byte {at} begins nothing that is known")
    return list(found.values())


def _check_padding(descriptor: int, member: tape.Member) -> None:
    end = member.offset + member.size
    if any(os.pread(descriptor, member.end - end, end)):
        raise InvalidError(f"what fills the last block of {member.name} is not empty")


def _check_generation(
    bundle: Bundle,
    descriptor: int,
    member: tape.Member,
    seen: list[tape.Member],
    found: dict[tuple[int, int], StoredFile],
) -> None:
    """What was written at one time: files, the manifest that names them, and its seal."""
    at = member.offset - BLOCK
    locator = (one := seal.read(os.pread(descriptor, 2 * BLOCK, at), at).seal).manifest
    name = tape.SEALED_MANIFEST if bundle.vault else tape.MANIFEST
    if not seen or seen[-1] != tape.Member(name, locator.offset, locator.size):
        raise InvalidError(f"{bundle} was changed: a seal belongs to no manifest")
    content = chunks.read(descriptor, locator.offset, locator.size)
    seal.check(one, content)
    content = bundle.vault.open(content) if bundle.vault else content
    manifest = reader.parse_manifest(content, bundle.path)
    expected = set(_expected(manifest))
    for file in seen[:-1]:
        if file in _BEGINNING[: 2 if bundle.vault else 1]:
            continue
        if file not in expected:
            raise InvalidError(f"{bundle} was changed: {file.name} is named nowhere")
    places = {file.offset for file in seen} | {one[0] for one in found}
    for _, stored in manifest.files():
        place = _place(stored)
        if place[0] not in places:
            raise InvalidError(f"{bundle} was changed: {stored.name} is not there")
        found[place] = stored


def _place(file: StoredFile) -> tuple[int, int]:
    return (file.frames[0].offset if file.frames else file.offset), file.stored


def _expected(manifest: Manifest) -> Iterator[tape.Member]:
    """The members that may hold the files of a manifest; the same content is there only once."""
    for layer, file in manifest.files():
        if file.in_one_piece:
            name = tape.file_name(layer, file.name, luks=file.form == "luks")
            yield tape.Member(name, file.offset, file.stored)
        for part, first in enumerate(range(0, len(file.frames), PART)):
            frames = file.frames[first : first + PART]
            name = tape.part_name(layer, file.name, part, sealed=file.form == "sealed")
            size = sum(frame.size for frame in frames)
            yield tape.Member(name, frames[0].offset, size)

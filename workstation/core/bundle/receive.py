"""A bundle that comes through a pipe, taken apart as it comes.

Its manifest comes last. So the plain files of its layers, which are nearly all of it, are put where
the library will have them, with digests taken of what came; the rest lies in a file at the places
that it has in the bundle, with holes for those. That file is read like any bundle then: what the
manifest says decides whether anything of it is kept.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workstation.core.bundle import chunks, reader, seal, tape
from workstation.core.bundle.chunks import Workers
from workstation.core.bundle.pipe import Intake, Told
from workstation.core.layers import holes
from workstation.core.room import check_room
from workstation.errors import InvalidError, UsageError
from workstation.model.bundle import BLOCK, CHUNK, Content, StoredFile

WHAT_CAME = Path("what comes through the pipe")
"""What it is called; where it lies meanwhile is nobody's business."""

_PLAIN = re.compile(r"layers/[0-9a-f]{16}/(tpm/)?[^/]+(?<!\.luks)")


@dataclass(frozen=True)
class Received:
    """What came, and where it is."""

    path: Path
    """Its frame, and all that is packed, in a file; with holes where plain files were."""
    files: dict[int, tuple[Path, Content]] = field(default_factory=dict)
    """Those, by their places in the bundle, and what they hold."""

    def file(self, file: StoredFile) -> Path | None:
        """A plain file that has come; None for one that is in the frame.

        Raises InvalidError where it is not what it should be.
        """
        path, content = self.files.get(file.offset, (None, None))
        if file.form != "plain" or path is None or content is None:
            return None
        if (content.size, content.digests) != (file.size, file.digests):
            raise InvalidError(
                f"what came was changed on its way: {file.name} is not as it was written",
                hint="send it again",
            )
        return path

    def used(self, file: StoredFile, chunk: int) -> None:
        """That chunk was read, and is needed no more: the room it took is given back."""
        if file.form == "plain":
            return
        place = (file.offset + chunk * CHUNK, file.length(chunk))
        if file.frames:
            place = (file.frames[chunk].offset, file.frames[chunk].size)
        with self.path.open("r+b") as frame:
            holes.punch(frame.fileno(), *place)

    def taken(self) -> int:
        """Bytes on the disk."""
        every = (self.path, *(path for path, _ in self.files.values()))
        return sum(path.stat().st_blocks * 512 for path in every)


def receive(descriptor: int, directory: Path, passphrase: str, told: Told) -> Received:
    """All that comes, into an empty directory; raises as soon as it cannot be a whole bundle.

    Of one that is encrypted, raises UsageError at its beginning where the passphrase is missing
    or another. Call it in a thread.
    """
    received = Received(directory / "stream.vmbundle")
    made = os.open(received.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with chunks.workers() as workers:
            _Receiver(Intake(descriptor, told), made, received, workers, told).all(passphrase)
    finally:
        os.close(made)
    return received


class _Receiver:
    def __init__(
        self, intake: Intake, frame: int, received: Received, workers: Workers, told: Told
    ) -> None:
        self._intake, self._frame, self._received = intake, frame, received
        self._workers, self._told = workers, told

    def all(self, passphrase: str) -> None:
        """Member by member, to the two blocks of zeros at the end; nothing comes after those."""
        self._head(passphrase)
        for _ in range(tape.MOST_MEMBERS):
            at = self._intake.at
            block = self._keep(BLOCK)
            member = tape.read_header(bytes(block), at) if len(block) == BLOCK else None
            if member is None:
                self._end(block)
                return
            self._check_room(member.size)
            if _PLAIN.fullmatch(member.name):
                self._file(member)
            else:
                self._packed(member.size)
            self._keep(member.end - member.offset - member.size)

    def _head(self, passphrase: str) -> None:
        blocks = bytes(self._keep(2 * BLOCK))
        if len(blocks) < 2 * BLOCK:
            raise InvalidError(
                "nothing came that is a bundle", hint="workstation export NAME - writes one"
            )
        reader.check_first_block(WHAT_CAME, blocks)
        lock = seal.lock_of(blocks[BLOCK:])
        if lock and not passphrase:
            raise UsageError(
                "what comes is encrypted", hint="name a file with it: --passphrase-file FILE"
            )
        reader.unlocked(WHAT_CAME, blocks[BLOCK:], passphrase)

    def _end(self, block: bytearray) -> None:
        """Two blocks of zeros, of which one has come; and then nothing more."""
        if len(block) < BLOCK or len(rest := self._keep(BLOCK)) < BLOCK:
            raise InvalidError("it ended in the middle")
        if any(rest) or self._intake.take(1):
            raise InvalidError("more came behind its end")

    def _keep(self, size: int) -> bytearray:
        """What comes next, in the frame too."""
        at = self._intake.at
        data = self._intake.take(size)
        chunks.write(self._frame, data, at)
        return data

    def _packed(self, size: int) -> None:
        for length in _lengths(size):
            if len(self._keep(length)) < length:
                raise InvalidError("it ended in the middle")
            self._told(length)

    def _file(self, member: tape.Member) -> None:
        """A plain file; the threads hash and write it while the next of it comes."""
        target = self._received.path.with_name(f"file-{member.offset}")
        made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

        def put(piece: tuple[int, bytearray]) -> bytes:
            at, data = piece
            chunks.write(made, data, at)
            return hashlib.sha256(data).digest()

        try:
            digests = b"".join(self._workers.map(put, self._pieces(member.size)))
        finally:
            os.close(made)
        content = Content(size=member.size, digests=digests.hex())
        self._received.files[member.offset] = (target, content)

    def _pieces(self, size: int) -> Iterator[tuple[int, bytearray]]:
        at = 0
        for length in _lengths(size):
            data = self._intake.take(length)
            if len(data) < length:
                raise InvalidError("it ended in the middle")
            yield at, data
            at += length
            self._told(length)

    def _check_room(self, size: int) -> None:
        place = self._received.path.parent
        check_room(place, size, "make room, then send it again", what="what comes next")


def _lengths(size: int) -> Iterator[int]:
    """That of each chunk."""
    return (min(CHUNK, size - at) for at in range(0, size, CHUNK))

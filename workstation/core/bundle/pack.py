"""Layers into a bundle: read once, compared with their digests, packed, written in order."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple

import zstandard

from workstation.core.bundle import seal, tape
from workstation.core.bundle.chunks import Workers
from workstation.core.bundle.source import SourceFile, SourceLayer
from workstation.core.bundle.vault import Vault
from workstation.core.bundle.writer import BundleWriter
from workstation.errors import InvalidError
from workstation.model.bundle import (
    CHUNK,
    PART,
    Content,
    Frame,
    StoredFile,
    StoredLayer,
    chunks_of,
    staying_disks,
)
from workstation.model.layer import Layer
from workstation.qemu import luks

LEVEL = 1
"""Of zstd: half the work of its default for 6 % more room (docs/carry.md has the figures)."""

_LOOKED_AT = 64 * 2**20
"""Bytes of a file whose digests are not known that is read once more, to see if it is there."""

Told = Callable[[int], None]

_own = threading.local()


class _Read(NamedTuple):
    digest: bytes
    data: bytes
    encrypted: bytes = b""
    """The digest of `data`, where that is another."""


class Packer:
    """Writes layers; a file that is in the bundle already is not written again."""

    def __init__(
        self,
        writer: BundleWriter,
        workers: Workers,
        kept: Iterable[StoredLayer],
        told: Told,
        *,
        compress: bool,
        vault: Vault | None = None,
    ) -> None:
        self._writer = writer
        self._workers = workers
        self._told = told
        self._compress = compress
        self._vault = vault
        self._there = {_key(file): file for one in kept for file in one.files}

    def pack(self, source: SourceLayer) -> StoredLayer:
        """Raises InvalidError where a file is not as it was frozen."""
        try:
            files = [self._file(source.layer, file) for file in source.files]
        except InvalidError as error:
            raise InvalidError(
                f"the layer {source.layer.id} is not exported: {error}",
                hint="workstation store check says what is damaged; another snapshot may be whole",
            ) from error
        return StoredLayer(layer=source.layer, files=tuple(files))

    def _file(self, layer: Layer, file: SourceFile) -> StoredFile:
        known = file.known or (_looked_at(file) if file.size <= _LOOKED_AT else None)
        there = self._there.get((known.size, known.digests)) if known else None
        if there and file.size:
            self._told(file.size)
            return there.model_copy(update={"name": file.name})
        packed = self._is_packed(layer, file)
        stored = self._compressed(layer, file) if packed else self._in_one_piece(layer, file)
        self._there[_key(stored)] = stored
        return stored

    def _is_packed(self, layer: Layer, file: SourceFile) -> bool:
        """Memory always is: a third of its size, and unpacked as fast as QEMU loads it.

        It is read once, from its beginning to its end, while disks are read in place.
        """
        if not file.size:
            return False
        is_memory = layer.memory is not None and file.name == layer.memory.name
        if self._compress and self._vault is None:
            return True
        return is_memory or (self._vault is not None and file.name not in staying_disks(layer))

    def _in_one_piece(self, layer: Layer, file: SourceFile) -> StoredFile:
        """As it is, or its sectors encrypted: QEMU reads it there."""
        digests, encrypted = [], []
        luks = self._vault is not None and bool(file.size)
        size = tape.padded(file.size) if luks else file.size
        with self._writer.member(tape.file_name(layer.id, file.name, luks=luks), size) as offset:
            worker = self._encrypting(file, offset) if luks else partial(_read, file)
            for one in self._workers.map(worker, range(chunks_of(file.size))):
                self._writer.write(one.data)
                digests.append(one.digest)
                encrypted.append(one.encrypted)
                self._told(len(one.data))
        return StoredFile(
            name=file.name,
            size=file.size,
            digests=b"".join(digests).hex(),
            form="luks" if luks else "plain",
            offset=offset,
            encrypted=b"".join(encrypted).hex(),
        )

    def _encrypting(self, file: SourceFile, offset: int) -> Callable[[int], "_Read"]:
        """What encrypts a chunk for where it will lie."""
        assert self._vault
        return partial(_sealed, file, self._vault.disks, offset - seal.DISKS_AT)

    def _compressed(self, layer: Layer, file: SourceFile) -> StoredFile:
        """In pieces of some frames, so that a piece's size is known before it is written."""
        digests: list[bytes] = []
        frames: list[Frame] = []
        sealed = self._vault is not None
        numbers = range(chunks_of(file.size))
        made = self._workers.map(lambda chunk: _frame(file, chunk, self._vault), numbers)
        for part, piece in enumerate(_batches(made, PART)):
            size = sum(len(one.data) for one in piece)
            with self._writer.member(
                tape.part_name(layer.id, file.name, part, sealed=sealed), size
            ):
                for one in piece:
                    frames.append(Frame(offset=self._writer.at, size=len(one.data)))
                    digests.append(one.digest)
                    self._writer.write(one.data)
                    self._told(min(CHUNK, file.size))
        return StoredFile(
            name=file.name,
            size=file.size,
            digests=b"".join(digests).hex(),
            form="sealed" if sealed else "zstd",
            frames=tuple(frames),
        )


def _key(file: StoredFile) -> tuple[int, str]:
    return file.size, file.digests


def _looked_at(file: SourceFile) -> Content:
    digests = [
        hashlib.sha256(file.read(chunk)).hexdigest() for chunk in range(chunks_of(file.size))
    ]
    return Content(size=file.size, digests="".join(digests))


def _batches(items: Iterator[_Read], count: int) -> Iterable[list[_Read]]:
    while batch := list(islice(items, count)):
        yield batch


def _read(file: SourceFile, chunk: int) -> _Read:
    data = bytes(file.read(chunk))
    return _Read(_checked(file, chunk, data), data)


def _sealed(file: SourceFile, key: bytes, begins: int, chunk: int) -> _Read:
    """A chunk of a disk, encrypted; `begins` is the disk's first byte in the container."""
    data = file.read(chunk)
    digest = _checked(file, chunk, data)
    whole = bytes(data).ljust(tape.padded(len(data)), b"\0")
    made = luks.encrypt(key, whole, (begins + chunk * CHUNK) // luks.SECTOR)
    return _Read(digest, made, hashlib.sha256(made).digest())


def _frame(file: SourceFile, chunk: int, vault: Vault | None) -> _Read:
    data = file.read(chunk)
    digest = _checked(file, chunk, data)
    packed = _compressor().compress(data)
    return _Read(digest, vault.seal(packed) if vault else packed)


def _compressor() -> zstandard.ZstdCompressor:
    """One a thread: to make one costs as much as a small chunk."""
    known: zstandard.ZstdCompressor | None = getattr(_own, "compressor", None)
    if known is None:
        known = _own.compressor = zstandard.ZstdCompressor(level=LEVEL)
    return known


def _checked(file: SourceFile, chunk: int, data: bytes | memoryview) -> bytes:
    """The digest of a chunk that is as it was frozen."""
    digest = hashlib.sha256(data).digest()
    short = len(data) != min(CHUNK, file.size - chunk * CHUNK)
    if short or (file.known and file.known.digest(chunk) != digest):
        raise InvalidError(f"its file {file.name} is not as it was frozen")
    return digest

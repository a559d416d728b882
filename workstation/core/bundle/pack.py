"""Layers into a bundle: read once, compared with their digests, packed, written in order."""

import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import zstandard

from workstation.core.bundle import chunks, seal, shrink, tape
from workstation.core.bundle.chunks import Workers
from workstation.core.bundle.source import SourceFile, SourceLayer
from workstation.core.bundle.vault import Vault
from workstation.core.bundle.writer import BundleWriter
from workstation.errors import InvalidError
from workstation.model.bundle import (
    BLOCK,
    CHUNK,
    NVRAM,
    PART,
    Content,
    Frame,
    StoredFile,
    StoredLayer,
    chunks_of,
    staying_disks,
)
from workstation.model.layer import Layer, LayerFile
from workstation.qemu import luks

LEVEL = 1
"""Of zstd: half the work of its default for 6 % more room (docs/carry.md has the figures)."""

_LOOKED_AT = 64 * 2**20
"""Bytes of a file whose digests are not known that is read once more, to see if it is there."""

Told = Callable[[int], None]

_own = threading.local()


class _Read(NamedTuple):
    digest: bytes
    data: bytes | memoryview
    """Of a plain file, good until the thread that has read it reads the next."""
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
        work: Path | None = None,
    ) -> None:
        self._writer = writer
        self._workers = workers
        self._told = told
        self._compress = compress
        self._vault = vault
        self._work = work
        self._there = {_key(file): file for one in kept for file in one.files}

    def pack(self, source: SourceLayer) -> StoredLayer:
        """Raises InvalidError where a file is not as it was frozen."""
        try:
            files = [self._file(source, file) for file in source.files]
        except InvalidError as error:
            raise InvalidError(
                f"the layer {source.layer.id} is not exported: {error}",
                hint="workstation store check says what is damaged; another snapshot may be whole",
            ) from error
        return StoredLayer(
            layer=_as_packed(source.layer, files), made_of=source.made_of, files=tuple(files)
        )

    def _file(self, source: SourceLayer, file: SourceFile) -> StoredFile:
        layer = source.layer
        drives = {one.name: drive for drive, one in layer.drives.items() if drive != NVRAM}
        if self._compress and file.name in drives:
            shrunk = self._shrunk(source, file, drives[file.name])
            if shrunk:
                return shrunk
        # Two disks that hold the same are blank, and small.
        wanted = CHUNK if file.name in drives else _LOOKED_AT
        known = file.known or (self._looked_at(file) if file.size <= wanted else None)
        there = self._there.get((known.size, known.digests)) if known else None
        if there and file.size:
            self._told(file.size)
            return there.model_copy(update={"name": file.name})
        packed = self._is_packed(layer, file)
        stored = self._compressed(layer, file) if packed else self._in_one_piece(layer, file)
        self._there[_key(stored)] = stored
        return stored

    def _looked_at(self, file: SourceFile) -> Content | None:
        """What it holds, if a file that is there holds the same."""
        alike = [digests for size, digests in self._there if size == file.size]
        found = ""
        for chunk in range(chunks_of(file.size)):
            if not alike:
                return None
            found += hashlib.sha256(file.read(chunk)).hexdigest()
            alike = [digests for digests in alike if digests.startswith(found)]
        return Content(size=file.size, digests=found) if alike else None

    def _shrunk(self, source: SourceLayer, file: SourceFile, drive: str) -> StoredFile | None:
        """A disk packed so that QEMU reads it in place; None for one that is taken as it is."""
        known = shrink.readable(file, source.layer.drives[drive].format)
        if known is None:
            return None
        for done in self._workers.map(partial(_looked, file), range(chunks_of(file.size))):
            self._told(done)
        into = partial(
            shrink.shrink, file, known, workers=self._workers, told=self._told,
            bottom=drive in source.bottom,
        )  # fmt: skip
        name = f"{drive}.qcow2"
        if self._writer.in_order or self._vault:
            with tempfile.TemporaryFile(dir=self._work) as spool:
                size = into(partial(chunks.write, spool.fileno()))
                return self._in_one_piece(source.layer, SourceFile(name, spool.fileno(), size))
        size = into(self._writer.put)
        offset = self._writer.close(tape.file_name(source.layer.id, name), size)
        return self._as_it_lies(name, offset, size)

    def _as_it_lies(self, name: str, offset: int, size: int) -> StoredFile:
        """A file that was just written, its digests taken from there."""

        def digest(chunk: int) -> str:
            at = chunk * CHUNK
            data = self._writer.read(offset + at, min(CHUNK, size - at))
            return hashlib.sha256(data).hexdigest()

        digests = "".join(self._workers.map(digest, range(chunks_of(size))))
        return StoredFile(name=name, size=size, digests=digests, offset=offset)

    def _is_packed(self, layer: Layer, file: SourceFile) -> bool:
        """Memory always is: a third of its size, and unpacked as fast as QEMU loads it.

        It is read once, from its beginning to its end, while disks are read in place.
        """
        if not file.size:
            return False
        is_memory = layer.memory is not None and file.name == layer.memory.name
        packed = self._compress or self._vault is not None
        return is_memory or (packed and file.name not in staying_disks(layer))

    def _in_one_piece(self, layer: Layer, file: SourceFile) -> StoredFile:
        """As it is, or its sectors encrypted: QEMU reads it there."""
        digests, encrypted = [], []
        luks = self._vault is not None and bool(file.size)
        size = tape.padded(file.size) if luks else file.size
        name, offset = tape.file_name(layer.id, file.name, luks=luks), self._writer.at + BLOCK
        read = self._encrypting(file, offset) if luks else partial(_read, file)
        for one in self._moved(name, size, read, chunks_of(file.size)):
            digests.append(one.digest)
            encrypted.append(one.encrypted)
            self._told(min(CHUNK, file.size))
        return StoredFile(
            name=file.name,
            size=file.size,
            digests=b"".join(digests).hex(),
            form="luks" if luks else "plain",
            offset=offset,
            encrypted=b"".join(encrypted).hex(),
        )

    def _moved(
        self, name: str, size: int, read: Callable[[int], "_Read"], count: int
    ) -> Iterator["_Read"]:
        """A file's chunks become a member: whoever reads one writes it, but into a pipe."""
        if self._writer.in_order:
            with self._writer.member(name, size):
                for one in self._workers.map(lambda chunk: _kept(read(chunk)), range(count)):
                    self._writer.write(one.data)
                    yield one
        else:
            with self._writer.filled(name, size) as put:
                yield from self._workers.map(lambda chunk: _put_by(put, chunk, read), range(count))

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


def _as_packed(layer: Layer, files: Iterable[StoredFile]) -> Layer:
    """With the names of disks that were raw, and are packed as qcow2."""
    names = {file.name for file in files}
    drives = {
        drive: file if file.name in names else LayerFile(name=f"{drive}.qcow2")
        for drive, file in layer.drives.items()
    }
    return layer.model_copy(update={"drives": drives})


def _looked(file: SourceFile, chunk: int) -> int:
    """Bytes of a chunk that is as it was frozen."""
    data = file.read(chunk)
    _checked(file, chunk, data)
    return len(data)


def _key(file: StoredFile) -> tuple[int, str]:
    return file.size, file.digests


def _batches(items: Iterator[_Read], count: int) -> Iterable[list[_Read]]:
    while batch := list(islice(items, count)):
        yield batch


def _read(file: SourceFile, chunk: int) -> _Read:
    data = file.read(chunk)
    return _Read(_checked(file, chunk, data), data)


def _kept(one: _Read) -> _Read:
    return one._replace(data=bytes(one.data))


def _put_by(
    put: Callable[[bytes | memoryview, int], None], chunk: int, read: Callable[[int], _Read]
) -> _Read:
    one = read(chunk)
    put(one.data, chunk * CHUNK)
    return one._replace(data=b"")


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

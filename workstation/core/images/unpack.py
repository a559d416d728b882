"""Compressed images, unpacked a piece at a time: bounded, sparse, and to be cancelled."""

import bz2
import gzip
import io
import lzma
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import zstandard

from workstation.core.images.download import Tell
from workstation.errors import InvalidError
from workstation.model.image import Packing
from workstation.model.units import format_size

_PIECE = 2**20


class StoppedError(Exception):
    """Asked to."""


def unpack(
    source: Path, packing: Packing, target: Path, *, largest: int, stop: threading.Event, tell: Tell
) -> None:
    """`target` becomes what `source` holds; call it in a thread.

    What is zero becomes a hole. Raises InvalidError where the file is damaged, or larger than
    `largest` bytes; StoppedError soon after `stop` is set.
    """
    whole = source.stat().st_size
    try:
        with source.open("rb") as packed, target.open("xb") as out:
            for piece in _pieces(packed, packing, target.suffix):
                if stop.is_set():
                    raise StoppedError
                if out.tell() + len(piece) > largest:
                    what = f"{source.name} unpacks to more than {format_size(largest)}"
                    raise InvalidError(what, hint="it is not what its catalog says")
                _write(out, piece)
                tell(packed.tell(), whole)
            out.truncate(out.tell())
    except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile, zstandard.ZstdError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InvalidError(f"{source.name} is damaged: {error}", hint="pull it anew") from error


def _write(out: IO[bytes], piece: bytes) -> None:
    if piece.count(0) == len(piece):
        out.seek(len(piece), io.SEEK_CUR)
    else:
        out.write(piece)


def _pieces(packed: IO[bytes], packing: Packing, ending: str) -> Iterator[bytes]:
    with _reader(packed, packing, ending) as reader:
        while piece := reader.read(_PIECE):
            yield piece


@contextmanager
def _reader(packed: IO[bytes], packing: Packing, ending: str) -> Iterator[Any]:
    match packing:
        case Packing.GZ:
            with gzip.GzipFile(fileobj=packed) as it:
                yield it
        case Packing.XZ:
            with lzma.LZMAFile(packed) as it:
                yield it
        case Packing.BZ2:
            with bz2.BZ2File(packed) as it:
                yield it
        case Packing.ZST:
            with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as it:
                yield it
        case Packing.ZIP:
            with zipfile.ZipFile(packed) as archive, archive.open(_member(archive, ending)) as it:
                yield it
        case Packing.NONE:
            yield packed


def _member(archive: zipfile.ZipFile, ending: str) -> zipfile.ZipInfo:
    """The largest of that ending: the image, beside a text or two."""
    endings = (ending, ".img") if ending == ".raw" else (ending,)
    fitting = [one for one in archive.infolist() if one.filename.lower().endswith(endings)]
    if not fitting:
        raise InvalidError(f"there is no {ending} in the archive", hint="its catalog is wrong")
    return max(fitting, key=lambda one: one.file_size)

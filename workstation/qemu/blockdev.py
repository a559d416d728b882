"""Chains of disk images as explicit block nodes: nothing written in an image is ever followed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workstation.model.profile import Cache
from workstation.qemu.extent import Container, Extent
from workstation.qemu.options import as_json

Format = Literal["qcow2", "raw"]


@dataclass(frozen=True, slots=True)
class DiskFile(Extent):
    """One file of a chain. The format is always said, never probed."""

    format: Format = "qcow2"


Node = dict[str, object]

FILE = ".file"
"""What the name of a file's node ends with; a node's name may have 31 characters."""

HOST = ".host"
"""The same of the larger file that a file's node is a part of."""


def bytes_node(extent: Extent, name: str = "") -> Node:
    """The node that an image's bytes come from: of a file, or of a part of one."""

    def named(suffix: str) -> Node:
        return {"node-name": f"{name}{suffix}"} if name else {}

    if extent.whole:
        return {"driver": "file", **named(FILE), "filename": str(extent.path)}
    host: Node = {"driver": "file", **named(HOST), "filename": str(extent.path)}
    if extent.sealed:
        host = container_node(extent.sealed, extent.path) | named(HOST)
    return {"driver": "raw", **named(FILE), **place(extent), "file": host}


def container_node(container: Container, path: Path) -> Node:
    """The node of a LUKS container in a file; its secret must be there."""
    bytes_: Node = {"driver": "file", "filename": str(path)}
    part: Node = {"driver": "raw", "offset": container.at, "file": bytes_}
    return {"driver": "luks", "key-secret": container.name, "file": part}


def place(extent: Extent) -> dict[str, int]:
    """Where an extent lies in what holds it, as the driver `raw` takes it."""
    begins = extent.sealed.begins if extent.sealed else 0
    return {"offset": extent.offset - begins, "size": extent.length()}


def image_node(file: DiskFile) -> Node:
    """One image by itself, as `json:` file names take it."""
    node: Node = {"driver": file.format, "file": bytes_node(file)}
    return {**node, "backing": None} if file.format == "qcow2" else node


def overlay_node(
    name: str, file: DiskFile, *, cache: Cache, discard: bool, writable: bool, backing: str | None
) -> Node:
    """One image as `-blockdev` and QMP `blockdev-add` take it.

    The node of its bytes is called `NAME.file`: QEMU tells a file by its path there only.
    """
    node: Node = {
        "driver": file.format,
        "node-name": name,
        "read-only": not writable,
        "discard": "unmap" if discard else "ignore",
        "cache": {"direct": cache is Cache.NONE, "no-flush": cache is Cache.UNSAFE},
        "file": bytes_node(file, name),
    }
    return {**node, "backing": backing} if file.format == "qcow2" else node


def nodes(
    name: str, files: Sequence[DiskFile], *, cache: Cache, discard: bool, writable: bool = True
) -> Iterator[Node]:
    """A chain, given from its top (the head) to its base; its base comes first.

    The top node is called `name`, those below it `name-1`, `name-2`…; only the top is writable.
    """
    for depth in reversed(range(len(files))):
        yield overlay_node(
            _node(name, depth),
            files[depth],
            cache=cache,
            discard=discard,
            writable=writable and not depth,
            backing=_node(name, depth + 1) if depth + 1 < len(files) else None,
        )


def chain(name: str, files: Sequence[DiskFile], *, cache: Cache, discard: bool) -> Iterator[str]:
    """`-blockdev` arguments for a writable chain, given from its top to its base."""
    for node in nodes(name, files, cache=cache, discard=discard):
        yield from ("-blockdev", as_json(node))


def _node(name: str, depth: int) -> str:
    return f"{name}-{depth}" if depth else name

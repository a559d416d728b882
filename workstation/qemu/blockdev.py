"""Chains of disk images as explicit block nodes: nothing written in an image is ever followed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workstation.model.profile import Cache
from workstation.qemu.options import as_json

Format = Literal["qcow2", "raw"]


@dataclass(frozen=True, slots=True)
class DiskFile:
    """One file of a chain. The format is always said, never probed."""

    path: Path
    format: Format = "qcow2"


def chain(
    name: str, files: Sequence[DiskFile], *, cache: Cache, discard: bool, writable: bool = True
) -> Iterator[str]:
    """`-blockdev` arguments for a chain, given from its top (the head) to its base.

    The top node is called `name`, those below it `name-1`, `name-2`…; only the top is writable.
    """
    for depth in reversed(range(len(files))):
        backed = depth + 1 < len(files)
        node: dict[str, object] = {
            "driver": files[depth].format,
            "node-name": _node(name, depth),
            "read-only": depth > 0 or not writable,
            "discard": "unmap" if discard else "ignore",
            "cache": {"direct": cache is Cache.NONE, "no-flush": cache is Cache.UNSAFE},
            "file": {"driver": "file", "filename": files[depth].path},
        }
        if backed:
            node["backing"] = _node(name, depth + 1)
        text = as_json(node)
        if files[depth].format == "qcow2" and not backed:
            text = f'{text[:-1]}, "backing": null}}'
        yield from ("-blockdev", text)


def _node(name: str, depth: int) -> str:
    return f"{name}-{depth}" if depth else name

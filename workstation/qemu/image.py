"""qemu-img, for images of our own making. Formats are always given, paths always absolute."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from workstation.errors import HostError, WorkstationError, room_hint
from workstation.qemu import secrets
from workstation.qemu.blockdev import DiskFile, Format, Node, bytes_node, image_node
from workstation.qemu.leash import leashed
from workstation.qemu.options import as_json


async def _run(qemu_img: str, *arguments: str, reads: Sequence[DiskFile] = ()) -> None:
    code, words = await _call(qemu_img, *arguments, reads=reads)
    if code:
        raise WorkstationError(
            f"qemu-img {arguments[0]} failed: {words}", hint=room_hint(words), details=words
        )


async def _call(
    qemu_img: str, verb: str, *arguments: str, reads: Sequence[DiskFile] = ()
) -> tuple[int, str]:
    """Exit code, and the end of what it complained about; gives the secrets of what it reads."""
    if not qemu_img:
        raise HostError("qemu-img is not installed", hint="workstation doctor says what to install")
    with secrets.handed(reads) as handed:
        argv = (qemu_img, verb, *secrets.objects(handed), *arguments)
        descriptors = tuple(handed.values())
        pipe = asyncio.subprocess.PIPE
        async with leashed(argv, stderr=pipe, descriptors=descriptors) as process:
            _, errors = await process.communicate()
    return process.returncode or 0, errors.decode(errors="replace").strip()[-2000:]


async def convert(qemu_img: str, source: Path, source_format: Format, target: Path) -> None:
    """`target` becomes a qcow2 with the content of `source`."""
    await _run(
        qemu_img, "convert", "-q", "-f", source_format, "-O", "qcow2", str(source), str(target)
    )


async def resize(qemu_img: str, file: Path, size: int) -> None:
    """A qcow2 of ours shows `size` bytes from now on, and never fewer than before."""
    await _run(qemu_img, "resize", "-q", "-f", "qcow2", str(file), str(size))


async def compress(qemu_img: str, source: Path, target: Path) -> None:
    """`target` becomes a compressed qcow2 with the content of `source`, which is raw."""
    how = ("-c", "-o", "compression_type=zstd", "-W", "-m", "4")
    words = ("convert", "-q", "-f", "raw", "-O", "qcow2", *how, str(source), str(target))
    await _run(qemu_img, *words)


async def check(qemu_img: str, file: DiskFile) -> str:
    """What is wrong with the structure of a qcow2 of ours; empty where nothing is.

    Leaked clusters (exit code 3) cost room and harm nothing.
    """
    code, words = await _call(qemu_img, "check", "-q", _named(file), reads=[file])
    return "" if code in (0, 3) else words or f"qemu-img check ended with {code}"


def chain_node(files: Sequence[DiskFile]) -> Node:
    """A chain, given from its top to its base, as one node that qemu-img can read."""
    source: Node | None = None
    for file in reversed(files):
        node: Node = {"driver": file.format, "file": bytes_node(file)}
        source = {**node, "backing": source} if file.format == "qcow2" else node
    return source or {}


async def rewrite(qemu_img: str, files: Sequence[DiskFile], target: Path) -> None:
    """`target` becomes the top of a chain again, without what is zero and has nothing below."""
    # With -B, convert copies only what the top itself holds. That name is taken out again.
    below = ("-B", _named(files[1]), "-F", files[1].format) if len(files) > 1 else ()
    chain = f"json:{as_json(chain_node(files))}"
    words = ("convert", "-q", "-O", "qcow2", *below, chain, str(target))
    await _run(qemu_img, *words, reads=files)
    if below:
        await _run(qemu_img, "rebase", "-q", "-u", "-f", "qcow2", "-b", "", str(target))


async def flatten(
    qemu_img: str, files: Sequence[DiskFile], target: Path, *, compress: bool
) -> None:
    """`target` becomes one qcow2 with all that a chain shows; compressed, its clusters are zstd."""
    packing = ("-c", "-o", "compression_type=zstd,cluster_size=256k") if compress else ()
    many = ("-W", "-m", str(min(16, max(2, os.cpu_count() or 1))))
    chain = f"json:{as_json(chain_node(files))}"
    words = ("convert", "-q", "-O", "qcow2", *packing, *many, chain, str(target))
    await _run(qemu_img, *words, reads=files)


def _named(file: DiskFile) -> str:
    """An image by itself as qemu-img takes it in the place of a path, its format said."""
    return f"json:{as_json(image_node(file))}"

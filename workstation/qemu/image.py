"""qemu-img, for images of our own making. Formats are always given, paths always absolute."""

import asyncio
from pathlib import Path

from workstation.errors import HostError, WorkstationError
from workstation.qemu.blockdev import Format


async def _run(qemu_img: str, *arguments: str) -> None:
    if not qemu_img:
        raise HostError("qemu-img is not installed", hint="workstation doctor says what to install")
    process = await asyncio.create_subprocess_exec(
        qemu_img,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        umask=0o077,
    )
    try:
        _, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        words = errors.decode(errors="replace").strip()[-2000:]
        raise WorkstationError(f"qemu-img {arguments[0]} failed: {words}", details=words)


async def create_overlay(qemu_img: str, target: Path, size: int) -> None:
    """A new blank qcow2 of `size` bytes.

    No backing file is written into it: what it stands on is said when it is opened.
    """
    await _run(qemu_img, "create", "-q", "-f", "qcow2", str(target), str(size))


async def convert(qemu_img: str, source: Path, source_format: Format, target: Path) -> None:
    """`target` becomes a qcow2 with the content of `source`."""
    await _run(
        qemu_img, "convert", "-q", "-f", source_format, "-O", "qcow2", str(source), str(target)
    )

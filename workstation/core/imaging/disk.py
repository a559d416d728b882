"""A whole Debian on a disk: mmdebstrap installs it, the recipe's script makes the disk.

Without root, mmdebstrap works in a user namespace whose root is none of this user's ids: it sees
neither a home directory nor the image library. What it needs from there is handed over by it (the
script as words, files by its special hooks), and so is the disk in the end.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from workstation.core.images import manifest
from workstation.core.imaging.recipe import DiskRecipe, fingerprint
from workstation.core.imaging.work import Progress, in_thread
from workstation.core.room import check_cache
from workstation.errors import HostError, room_hint
from workstation.qemu import image

DISK = "disk.qcow2"

ROOM = 3 * 2**30
"""Bytes that a build needs for a while, beside the image."""

_STEPS = (
    ("running apt-get update", "Asking for the current packages", 0.02),
    ("downloading packages", "Downloading packages", 0.05),
    ("extracting archives", "Unpacking the first packages", 0.2),
    ("installing essential packages", "Installing the first packages", 0.25),
    ("installing remaining packages", "Installing the other packages", 0.35),
    ("running --customize-hook", "Making the disk", 0.75),
    ("running special hook: download", "Taking over the disk", 0.88),
)
"""What mmdebstrap says, what that means, and the part that is done by then."""

_PATIENCE = 30.0
"""Seconds that it may take to clear away after itself."""


async def build(recipe: DiskRecipe, work: Path, out: Path, progress: Progress) -> None:
    """Fill the empty directory `out`, its manifest last; `work` is for what can be thrown away.

    Raises HostError where this host cannot do that.
    """
    qemu_img = shutil.which("qemu-img") or ""
    check_host(recipe)
    check_cache(work, ROOM)
    raw, listed = work / "disk.raw", work / "packages.txt"
    await _install(recipe, raw, listed, progress)
    progress("Compressing the disk", 0.9)
    await image.compress(qemu_img, raw, out / DISK)
    await in_thread(raw.unlink)
    versions = dict(line.split() for line in listed.read_text().splitlines())
    more = {
        "kernel": _kernel(versions),
        "ready": recipe.ready,
        "recipe": fingerprint(recipe.directory.parent, recipe.name),
        "packages": versions,
    }
    await in_thread(manifest.write, out, recipe.name, **more)
    progress("Done", 1.0)


def check_host(recipe: DiskRecipe) -> None:
    """Raise HostError where the recipe cannot be followed."""
    instead = "instead, take a ready one: workstation images pull debian-12"
    if os.uname().machine != {"amd64": "x86_64"}.get(recipe.architecture):
        raise HostError(f"the image “{recipe.name}” is for {recipe.architecture}", hint=instead)
    if not shutil.which("apt-get"):
        raise HostError(f"the image “{recipe.name}” is made of packages by apt", hint=instead)
    if missing := " ".join(_missing()):
        raise HostError(
            f"to build the image “{recipe.name}”, this is missing here: {missing}",
            hint=f"sudo apt-get install {missing}; or {instead.removeprefix('instead, ')}",
        )


def _missing() -> Iterator[str]:
    """Debian's packages of the programs that are not here."""
    if not shutil.which("mmdebstrap"):
        yield "mmdebstrap"
    if not shutil.which("mke2fs", path=_with_system_programs()):
        yield "e2fsprogs"
    if not shutil.which("qemu-img"):
        yield "qemu-utils"
    if os.geteuid() and not shutil.which("newuidmap"):
        yield "uidmap"


def _with_system_programs() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


async def _install(recipe: DiskRecipe, raw: Path, listed: Path, progress: Progress) -> None:
    said: list[str] = []
    async with _running(_words(recipe, raw, listed), _environment(recipe)) as process:
        assert process.stderr
        async for line in process.stderr:
            said.append(line.decode(errors="replace").rstrip())
            for words, meaning, part in _STEPS:
                if words in said[-1]:
                    progress(meaning, part)
        if await process.wait():
            raise _failure(recipe, said)


def _failure(recipe: DiskRecipe, said: Sequence[str]) -> HostError:
    words = "\n".join(said[-60:])
    hint = room_hint(words) or "the particulars say more; it needs the network, and room in /tmp"
    if os.geteuid() and ("subuid" in words or "unshare" in words or "newuidmap" in words):
        hint = "user namespaces are closed to you here: ask for lines of yours in /etc/subuid and"
        hint += " /etc/subgid (sudo usermod --add-subuids 100000-165535 USER, and --add-subgids)"
    return HostError(f"the image “{recipe.name}” could not be built", hint=hint, details=words)


def _words(recipe: DiskRecipe, raw: Path, listed: Path) -> list[str]:
    return [
        *("mmdebstrap", "--variant=minbase", "--format=null"),
        f"--mode={'unshare' if os.geteuid() else 'root'}",
        f"--include={','.join(recipe.packages)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.leave_out),
        *(f"--dpkgopt=path-include={pattern}" for pattern in recipe.keep),
        f"--essential-hook=sync-in {_quoted(recipe.rootfs)} /",
        f"--customize-hook={recipe.assemble}",
        f"--customize-hook=download /tmp/build/packages {_quoted(listed)}",
        f"--customize-hook=download /tmp/build/disk {_quoted(raw)}",
        recipe.suite,
    ]


def _quoted(path: Path) -> str:
    """For mmdebstrap, which splits its special hooks as a shell does."""
    return "'" + str(path).replace("'", "'\\''") + "'"


def _environment(recipe: DiskRecipe) -> dict[str, str]:
    return {
        **os.environ,
        "LC_ALL": "C",
        "PATH": _with_system_programs(),
        "TOOLS": " ".join(recipe.tools),
        "SIZE": str(recipe.size),
    }


@asynccontextmanager
async def _running(
    words: Sequence[str], environment: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """mmdebstrap; where the block is left before it has ended it is told to clear away."""
    process = await asyncio.create_subprocess_exec(
        *words,
        env=environment,
        # What it starts by other names (in the namespace) may not see where we are.
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            await asyncio.shield(_end(process))


async def _end(process: asyncio.subprocess.Process) -> None:
    """All of its programs hear the signal, as they would from a terminal."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.communicate(), _PATIENCE)
            return


def _kernel(versions: dict[str, str]) -> str:
    """`6.1.0-56-amd64` of the package `linux-image-6.1.0-56-amd64`."""
    start = "linux-image-"
    found = (name.removeprefix(start) for name in versions if name.startswith(start))
    return next((name for name in found if name[:1].isdigit()), "")

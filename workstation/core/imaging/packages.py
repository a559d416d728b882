"""Packages of the distribution, fetched and unpacked by an ordinary user with apt and dpkg-deb."""

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from workstation.core.imaging.recipe import Recipe, Wanted
from workstation.errors import HostError

# As root, apt would fetch as the user _apt, who cannot write here, and say so.
_AS_WE_ARE = ("-o", "APT::Sandbox::User=root")

_DOWNLOAD = ("apt-get", *_AS_WE_ARE, "download")

UPDATE = "run: sudo apt-get update (it needs the network), then try again"


def check_host(recipe: Recipe) -> None:
    """Raise HostError where these packages cannot be had."""
    missing = [name for name in ("apt-get", "apt-cache", "dpkg-deb") if not shutil.which(name)]
    if missing or os.uname().machine != {"amd64": "x86_64"}.get(recipe.architecture):
        what = f"{', '.join(missing)} missing" if missing else f"not {recipe.architecture}"
        raise HostError(
            f"the image “{recipe.name}” is made of Debian or Ubuntu packages ({what} here)",
            hint="use an image of your own: give boot.kernel and boot.initrd, or a drive's image,"
            " as absolute paths in a profile",
        )


async def fetch(
    recipe: Recipe, directory: Path, kept: Path, progress: Callable[[float], None]
) -> dict[str, str]:
    """Put the recipe's packages into `directory`; the version of each, by name.

    Those of the last time lie in `kept`, so that the network is only asked for what is new.
    """
    names = await resolve(recipe.packages)
    wanted = await _output(*_DOWNLOAD, "--print-uris", *names, cwd=directory)
    # 'URI' FILE SIZE HASH
    await asyncio.to_thread(_copy, re.findall(r"^'\S+' (\S+)", wanted, re.M), kept, directory)
    # What is there already, apt checks and leaves.
    await _download(names, directory, progress)
    await asyncio.to_thread(_keep, directory, kept)
    return dict(map(_named, _packages(directory)))


async def _download(
    names: Sequence[str], directory: Path, progress: Callable[[float], None]
) -> None:
    words = (*_DOWNLOAD, "-o", "APT::Status-Fd=1", *names)
    async with _running(*words, cwd=directory) as process:
        assert process.stdout and process.stderr
        errors = asyncio.create_task(process.stderr.read())
        try:
            async for line in process.stdout:
                # dlstatus:ITEM:PERCENT:TEXT (apt's README.progress-reporting)
                match = re.match(rb"dlstatus:\d+:([\d.]+):", line)
                if match:
                    progress(float(match[1]) / 100)
            said = (await errors).decode(errors="replace")
        finally:
            errors.cancel()
        if await process.wait():
            raise HostError("the packages could not be fetched", hint=UPDATE, details=said.strip())


def _copy(names: Sequence[str], source: Path, target: Path) -> None:
    for name in names:
        if "/" not in name and (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def _keep(directory: Path, kept: Path) -> None:
    """Whoever else builds at this moment sees whole files only."""
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = {path.name for path in _packages(directory)}
    for name in fresh - {path.name for path in _packages(kept)}:
        with tempfile.TemporaryDirectory(dir=kept, prefix=".") as place:
            shutil.copyfile(directory / name, Path(place) / name).rename(kept / name)
    for path in _packages(kept):
        if path.name not in fresh:
            path.unlink(missing_ok=True)


def _packages(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.deb"))


def _named(path: Path) -> tuple[str, str]:
    name, version, _ = unquote(path.name).split("_", 2)
    return name, version


async def unpack(directory: Path, target: Path) -> None:
    for path in _packages(directory):
        await _output("dpkg-deb", "-x", str(path), str(target))


async def resolve(wanted: Sequence[Wanted]) -> list[str]:
    """The names of the packages to fetch, those behind a meta package included."""
    known = await _candidates([name for package in wanted for name in package.any])
    names: list[str] = []
    for package in wanted:
        first = next((name for name in package.any if name in known), None)
        if first is None:
            raise HostError(f"the package lists know no {' or '.join(package.any)}", hint=UPDATE)
        names += await _followed(first, package.follow) if package.follow else [first]
    return names


async def _followed(name: str, pattern: str) -> list[str]:
    """The packages whose names match among `name` and what it depends on."""
    found: dict[str, bool] = {name: bool(re.search(pattern, name))}
    pending = [name]
    while pending:
        words = ("apt-cache", "--no-recommends", "--no-suggests", "depends", pending.pop())
        for other in re.findall(
            r"^\s*\|?Depends: ([a-z0-9][\w.+-]*)$", await _output(*words), re.M
        ):
            if other not in found and re.search(pattern, other):
                found[other] = True
                pending.append(other)
    matching = [other for other, matches in found.items() if matches]
    if not matching:
        raise HostError(f"the package {name} leads to no kernel", hint=UPDATE)
    return matching


async def _candidates(names: Sequence[str]) -> Mapping[str, str]:
    """The versions that could be installed, of those names that have one."""
    known = {}
    name = ""
    for line in (await _output("apt-cache", "policy", *names)).splitlines():
        if not line.startswith(" "):
            name = line.removesuffix(":")
        elif (version := line.strip().removeprefix("Candidate: ")) != line.strip():
            known[name] = version
    return {name: version for name, version in known.items() if version != "(none)"}


async def _output(*words: str, cwd: Path | None = None) -> str:
    async with _running(*words, cwd=cwd) as process:
        said, errors = await process.communicate()
        if process.returncode:
            raise HostError(
                f"{words[0]} failed", hint=UPDATE, details=errors.decode(errors="replace").strip()
            )
    return said.decode(errors="replace")


@asynccontextmanager
async def _running(
    *words: str, cwd: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program whose words are in English; gone when the context is left."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

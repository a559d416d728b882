"""A package archive, made here and served on loopback, as a guest's apt wants it."""

import asyncio
import hashlib
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.web import Web, serving


def package(place: Path, name: str, version: str) -> Path:
    """An empty one, but for a file that says its version."""
    root = place / f"{name}-root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
        f"Maintainer: Nobody <nobody@example.org>\nDescription: for a test\n"
    )
    doc = root / f"usr/share/doc/{name}"
    doc.mkdir(parents=True)
    (doc / "version").write_text(f"{version}\n")
    target = place / f"{name}_{version}_all.deb"
    call = ["dpkg-deb", "--root-owner-group", "--build", str(root), str(target)]
    subprocess.run(call, check=True, capture_output=True)
    return target


def index(packages: list[Path]) -> str:
    """The archive's list (deb822(5))."""
    entries = []
    for file in packages:
        fields = ["dpkg-deb", "--field", str(file)]
        control = subprocess.run(fields, check=True, capture_output=True, text=True).stdout
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        more = f"Filename: ./{file.name}\nSize: {file.stat().st_size}\nSHA256: {digest}\n"
        entries.append(control + more)
    return "\n".join(entries)


@asynccontextmanager
async def served(place: Path, **versions: str) -> AsyncIterator[Web]:
    """By package, its version; served at /debian/."""
    made = [
        await asyncio.to_thread(package, place, name, version) for name, version in versions.items()
    ]
    listed = (await asyncio.to_thread(index, made)).encode()
    digest = hashlib.sha256(listed).hexdigest()
    async with serving() as web:
        web.put("/debian/./Packages", listed)
        release = f"Origin: test\nSHA256:\n {digest} {len(listed)} Packages\n"
        web.put("/debian/./Release", release.encode())
        for file in made:
            web.put(f"/debian/./{file.name}", file.read_bytes())
        for path in list(web.pages):
            web.pages[path.replace("/./", "/")] = web.pages[path]
        yield web

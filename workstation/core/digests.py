"""SHA-256 of frozen files: taken once after the freeze, compared whenever it matters."""

import hashlib
import json
from pathlib import Path

from workstation.core import atomic
from workstation.core.store import DIGESTS, MANIFEST, Store


def content(directory: Path) -> list[Path]:
    """The files of a layer that a digest is kept of, sorted."""
    left_out = (DIGESTS, MANIFEST)
    return sorted(
        file
        for file in directory.rglob("*")
        # What is being written beside them has a name that begins with a dot (atomic.py).
        if file.is_file() and file.name not in left_out and not file.name.startswith(".")
    )


def of_file(file: Path) -> str:
    """SHA-256 in hex; reads all of the file, at the disk's speed."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def take(store: Store, layer: str) -> dict[str, str]:
    """Record the digests of a layer that has none yet; call it in a thread."""
    known = store.digests(layer)
    if known:
        return known
    directory = store.directory(layer)
    found = {str(file.relative_to(directory)): of_file(file) for file in content(directory)}
    target = directory / DIGESTS
    atomic.write(target, json.dumps(found, indent=1))
    target.chmod(0o400)
    return found


def differing(store: Store, layer: str) -> list[str]:
    """Names of the files that are missing or not as they were; reads all; call it in a thread."""
    directory, bad = store.directory(layer), []
    for name, digest in store.digests(layer).items():
        file = directory / name
        if not file.is_file() or of_file(file) != digest:
            bad.append(name)
    return bad

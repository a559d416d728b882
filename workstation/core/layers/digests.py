"""SHA-256 of frozen files, a chunk at a time: taken once after the freeze, compared ever after."""

import os
from pathlib import Path

from pydantic import TypeAdapter

from workstation.core import atomic
from workstation.core.bundle import chunks
from workstation.core.layers.store import ABOUT, DIGESTS, Store
from workstation.model.bundle import Content


def content(directory: Path) -> list[Path]:
    """The files of a layer that digests are kept of, sorted."""
    return sorted(
        file
        for file in directory.rglob("*")
        # What is being written beside them has a name that begins with a dot (atomic.py).
        if file.is_file() and file.name not in ABOUT and not file.name.startswith(".")
    )


def of_file(file: Path) -> Content:
    """Reads all of the file, at the disk's speed."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return chunks.content(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def take(store: Store, layer: str) -> dict[str, Content]:
    """Record the digests of a layer that has none yet; call it in a thread."""
    known = store.digests(layer)
    if known:
        return known
    directory = store.directory(layer)
    found = {str(file.relative_to(directory)): of_file(file) for file in content(directory)}
    record(directory, found)
    return found


def record(directory: Path, found: dict[str, Content]) -> None:
    """Keep what is known of a layer's files; what a crash takes of it is taken again."""
    target = directory / DIGESTS
    text = TypeAdapter(dict[str, Content]).dump_json(found).decode()
    atomic.write(target, text, lasting=False)
    target.chmod(0o400)


def differing(store: Store, layer: str) -> list[str]:
    """Names of the files that are missing or not as they were; reads all; call it in a thread."""
    directory, link = store.directory(layer), store.link(layer)
    bad = store.carried_differing(layer) if link else []
    for name, known in store.digests(layer).items():
        if link and name in link.files:
            continue
        file = directory / name
        if not file.is_file() or of_file(file) != known:
            bad.append(name)
    return bad

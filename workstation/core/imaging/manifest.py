"""`image.yaml`: what an image is, written last, when all its files are on the disk."""

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

NAME = "image.yaml"


def write(out: Path, name: str, **more: object) -> None:
    """Of the files in `out`, which are made to last first; `more` goes in as it is."""
    import yaml

    manifest = {
        "name": name,
        "built": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
        "files": {path.name: digest(path) for path in sorted(out.iterdir())},
    }
    for path in out.iterdir():
        # Machines share these files: nobody writes to one by mistake.
        path.chmod(0o400)
        _flush(path)
    (out / NAME).write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
    _flush(out / NAME)
    _flush(out)


def digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """To the disk itself; also a directory's entries."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

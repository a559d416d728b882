"""`image.yaml`: what an image is, written last, when all its files are on the disk."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from workstation.core import atomic
from workstation.errors import InvalidError

MANIFEST = "image.yaml"


@dataclass(frozen=True, slots=True)
class Image:
    """A finished image of the library."""

    name: str
    path: Path
    """Its directory."""
    built: str
    """When it was built, downloaded or added: ISO 8601, UTC."""
    kernel: str
    """Version of its kernel; empty if it has none, or that is not known."""
    ready: str
    """What the guest prints on its serial line when it is ready."""
    packages: Mapping[str, str]
    """Versions, by name."""
    files: Mapping[str, str]
    """SHA-256 in hex, by name."""
    origin: str = ""
    """The address or file that it comes from; empty where it was built here."""
    recipe: str = ""
    """Fingerprint of the recipe that it was built by; empty where there was none."""
    signature: str = ""
    """`by FINGERPRINT`, or why none was checked; empty of what was not pulled."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum((self.path / name).stat().st_size for name in self.files)


def read(path: Path) -> Image:
    """The image whose manifest that is; raises InvalidError for a broken one, or OSError.

    A file that is as it was is not read again: a long list of packages takes 10 ms.
    """
    status = path.stat()
    return _read(path, status.st_ino, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _read(path: Path, *_version: int) -> Image:
    import yaml

    try:
        said = yaml.safe_load(path.read_text("utf-8"))
        return Image(
            name=said["name"],
            path=path.parent,
            built=said["built"],
            kernel=said.get("kernel", ""),
            ready=said.get("ready", ""),
            packages=said.get("packages", {}),
            files=said["files"],
            origin=said.get("origin", ""),
            recipe=said.get("recipe", ""),
            signature=said.get("signature", ""),
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise InvalidError(
            f"{path} is damaged",
            hint=f"workstation images remove {path.parent.name}, then pull, add or build it anew",
            details=repr(error),
        ) from error


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
        atomic.sync(path)
    (out / MANIFEST).write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
    atomic.sync(out / MANIFEST)


def digest(path: Path) -> str:
    """SHA-256 in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

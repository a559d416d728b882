"""What was found out by running programs, kept until a program changes."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

_FORMAT = 1

# A package can add what QEMU can do (sound, above all) without touching its program.
_MODULES = (Path("/usr/lib/x86_64-linux-gnu/qemu"), Path("/usr/lib64/qemu"), Path("/usr/lib/qemu"))


class HostCache:
    """A JSON file of `{name: {"key": …, "value": …}}`. A broken one counts as empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = _read(path)
        self.changed = False

    def get(self, name: str, key: list[Any]) -> Any:
        """None unless it was put under the same key."""
        entry = self._entries.get(name)
        return entry.get("value") if isinstance(entry, dict) and entry.get("key") == key else None

    def put(self, name: str, key: list[Any], value: Any) -> None:
        self._entries[name] = {"key": key, "value": value}
        self.changed = True

    def save(self) -> None:
        """A disk that is full or read-only costs time, nothing else."""
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new.write_text(json.dumps({"format": _FORMAT, **self._entries}), encoding="utf-8")
            new.replace(self._path)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) and value.get("format") == _FORMAT else {}


def program_key(program: str) -> list[Any]:
    """Changes whenever the program does, or the modules that it may load."""
    real = Path(program).resolve()
    try:
        size = real.stat().st_size
    except OSError:
        size = 0
    return [str(real), changed_at(real), size, *map(changed_at, _MODULES)]


def boot_key(device: Path) -> list[Any]:
    """Changes with every boot of the host, and when the device is made anew."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        status = device.stat()
        return [boot, str(device), status.st_ino, status.st_ctime_ns]
    return []


def changed_at(path: Path | str) -> int:
    """When a file or directory was changed last, in nanoseconds; 0 where it is not there."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 (the hot path)
    except OSError:
        return 0

"""Kernel modules out of an unpacked kernel package: which ones, in what order.

A package has no modules.dep (it is made when it is installed); what a module needs stands in its
own `.modinfo` section, as `depends=a,b`.
"""

import lzma
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workstation.errors import HostError

_SUFFIX = re.compile(r"\.ko(\.(xz|zst|gz))?$")


@dataclass(frozen=True, slots=True)
class Module:
    name: str
    """With underscores, as the kernel spells it."""
    data: bytes
    depends: tuple[str, ...]
    aliases: tuple[str, ...]
    """Patterns of the devices it drives: `virtio:d00000001v*`."""


@dataclass(frozen=True, slots=True)
class Selection:
    modules: tuple[Module, ...]
    """Each after those that it depends on."""
    built_in: tuple[str, ...]
    """Wanted, and part of the kernel already."""
    missing: tuple[str, ...]


class ModuleTree:
    """The modules below `lib/modules/VERSION` of an unpacked package."""

    def __init__(self, root: Path) -> None:
        self._files = {
            canonical(_SUFFIX.sub("", path.name)): path
            for path in root.rglob("*.ko*")
            if _SUFFIX.search(path.name)
        }
        built_in = root / "modules.builtin"
        lines = built_in.read_text().splitlines() if built_in.exists() else []
        self._built_in = {canonical(Path(line).name.removesuffix(".ko")) for line in lines}

    def select(self, wanted: Iterable[str]) -> Selection:
        """The wanted modules, and all that they need."""
        chosen: dict[str, Module] = {}
        built_in: list[str] = []
        missing: list[str] = []
        for name in map(canonical, wanted):
            if name in self._files:
                self._choose(name, chosen, ())
            else:
                (built_in if name in self._built_in else missing).append(name)
        return Selection(tuple(chosen.values()), tuple(built_in), tuple(missing))

    def _choose(self, name: str, chosen: dict[str, Module], above: tuple[str, ...]) -> None:
        if name in chosen or name in above or name not in self._files:
            return
        module = read_module(self._files[name])
        for needed in module.depends:
            self._choose(needed, chosen, (*above, name))
        chosen[name] = module


def canonical(name: str) -> str:
    return name.replace("-", "_")


def read_module(path: Path) -> Module:
    data = _decompressed(path)
    info = list(modinfo(data))
    depends = [value for key, value in info if key == "depends"]
    names = [canonical(name) for value in depends for name in value.split(",") if name]
    aliases = tuple(value for key, value in info if key == "alias")
    return Module(canonical(_SUFFIX.sub("", path.name)), data, tuple(names), aliases)


def modinfo(data: bytes) -> Iterator[tuple[str, str]]:
    """`(key, value)` pairs of a module's `.modinfo` section, a run of NUL-ended `key=value`."""
    start, size = _section(data, b".modinfo")
    for item in data[start : start + size].split(b"\0"):
        key, equals, value = item.decode(errors="replace").partition("=")
        if equals:
            yield key, value


def _section(data: bytes, name: bytes) -> tuple[int, int]:
    """Offset and size of a section in an ELF file of 64 bits (elf(5)); 0, 0 if it has none."""
    if data[:5] != b"\x7fELF\x02" or len(data) < 64:
        raise HostError("a kernel module in the package is not an ELF file of 64 bits")

    def number(offset: int, size: int) -> int:
        return int.from_bytes(data[offset : offset + size], "little")

    table, entry, count, strings = (
        number(offset, size) for offset, size in ((40, 8), (58, 2), (60, 2), (62, 2))
    )
    names = number(table + strings * entry + 24, 8)
    for header in range(table, table + count * entry, entry):
        start = names + number(header, 4)
        if data[start : start + len(name) + 1] == name + b"\0":
            return number(header + 24, 8), number(header + 32, 8)
    return 0, 0


def _decompressed(path: Path) -> bytes:
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".ko":
        return path.read_bytes()
    program = "zstd" if path.suffix == ".zst" else "gzip"
    try:
        return subprocess.run([program, "-dc", path], check=True, capture_output=True).stdout
    except FileNotFoundError:
        raise HostError(
            f"this kernel's modules are compressed with {program}, which is not installed",
            hint=f"install it: sudo apt-get install {program}",
        ) from None


def dependency_file(selection: Selection) -> bytes:
    """modules.dep, as modprobe reads it: a module's file, then what it needs, the first last."""
    lines: list[str] = []
    below: dict[str, set[str]] = {}
    for module in selection.modules:
        known = [name for name in module.depends if name in below]
        below[module.name] = set(known).union(*(below[name] for name in known))
        # `below` has them in the order in which they can be loaded; modprobe starts at the right.
        needed = [f"{name}.ko" for name in reversed(below) if name in below[module.name]]
        lines.append(" ".join([f"{module.name}.ko:", *needed]))
    return "\n".join([*lines, ""]).encode()


def alias_file(selection: Selection) -> bytes:
    """modules.alias: which module drives which device."""
    lines = [
        f"alias {alias} {module.name}" for module in selection.modules for alias in module.aliases
    ]
    return "\n".join([*lines, ""]).encode()

"""What a QEMU program can do, asked of the program itself."""

import asyncio
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from workstation.qemu.output import output_of

_VERSION = re.compile(r"version (\d+)\.(\d+)(?:\.(\d+))?")
_ALIAS = re.compile(r"\(alias of ([^\s)]+)\)")

Version = tuple[int, int, int]

LATER = ("mapped-ram", "monitor-qmp")
"""Words of QMP that not every QEMU knows, and by which ours is told what to do:

- `mapped-ram`, a migration capability: it saves memory to files, and loads it, by `file:`. One
  without does by `fd:`, which newer ones refuse for files (docs/about/removed-features.rst);
- `monitor-qmp`, a type of object: so a monitor is made, and `-mon` is deprecated.
"""

# Short answers: one that does not fit into a pipe at once is cut off by the end.
_ASK = b"""{"execute": "qmp_capabilities"}
{"execute": "query-migrate-capabilities"}
{"execute": "qom-list-types", "arguments": {"implements": "monitor-qmp"}}
{"execute": "quit"}
"""


@dataclass(frozen=True, slots=True)
class Build:
    """Of `qemu-system-x86_64`; `version` alone of `qemu-img`."""

    version: Version = (0, 0, 0)
    """(0, 0, 0) where it does not run."""
    machine_types: dict[str, str] = field(default_factory=dict)
    cpu_models: tuple[str, ...] = ()
    audio: tuple[str, ...] = ()
    netdevs: tuple[str, ...] = ()
    knows: tuple[str, ...] | None = ()
    """Which of `LATER`; None where it did not say."""

    @classmethod
    def from_json(cls, value: Any) -> "Build":
        """Raises LookupError, TypeError or ValueError for anything but a Build's fields."""
        major, minor, micro = map(int, value["version"])
        return cls(
            (major, minor, micro),
            {str(alias): str(name) for alias, name in dict(value["machine_types"]).items()},
            tuple(map(str, value["cpu_models"])),
            tuple(map(str, value["audio"])),
            tuple(map(str, value["netdevs"])),
            tuple(map(str, value["knows"])),
        )


NO_BUILD = Build()


async def ask_qemu(qemu: str) -> Build:
    bare = ("-machine", "none", "-nodefaults", "-no-user-config", "-display", "none")
    version, machines, cpus, audio, netdevs, words = await asyncio.gather(
        output_of(qemu, "--version"),
        output_of(qemu, "-machine", "help"),
        output_of(qemu, "-cpu", "help"),
        output_of(qemu, "-audiodev", "help"),
        output_of(qemu, "-netdev", "help"),
        output_of(qemu, *bare, "-qmp", "stdio", said=_ASK),
    )
    return Build(
        parse_version(version),
        parse_machine_types(machines),
        tuple(sorted(parse_cpu_models(cpus))),
        _words(audio),
        _words(netdevs),
        parse_words(words),
    )


async def ask_qemu_img(qemu_img: str) -> Build:
    return Build(parse_version(await output_of(qemu_img, "--version")))


def parse_version(text: str) -> Version:
    """Of `QEMU emulator version 7.2.22 (Debian …)`."""
    match = _VERSION.search(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)


def parse_machine_types(text: str) -> dict[str, str]:
    """Of `-machine help`: each type to itself, each alias to what it stands for."""
    types = {}
    for line in text.splitlines()[1:]:
        if words := line.split():
            alias = _ALIAS.search(line)
            types[words[0]] = alias[1] if alias else words[0]
    return types


def parse_cpu_models(text: str) -> set[str]:
    """Of `-cpu help`, whose lines begin with `x86` up to QEMU 8, and with two spaces later."""
    models = set()
    for line in text.partition("\n\n")[0].splitlines()[1:]:
        words = line.removeprefix("x86 ").split()
        if words:
            models.add(words[0])
    return models


def parse_words(text: str) -> tuple[str, ...] | None:
    """Of a QMP session that asked for capabilities and types: which of `LATER` there are.

    None where it is not whole.
    """
    found: set[str] = set()
    answers = 0
    for line in text.splitlines():
        with suppress(ValueError):
            answer = json.loads(line)
            answers += "return" in answer or "error" in answer
            listed = answer.get("return")
            for entry in listed if isinstance(listed, list) else ():
                found.update(str(entry.get(key)) for key in ("capability", "name"))
    # One each for qmp_capabilities and what was asked; that of quit may come or not.
    return tuple(word for word in LATER if word in found) if answers >= 3 else None


def _words(text: str) -> tuple[str, ...]:
    """The lines below the heading."""
    return tuple(line.strip() for line in text.splitlines()[1:] if line.strip())

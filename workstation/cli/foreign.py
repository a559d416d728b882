"""Export and import of other programs' formats: the same words as for bundles."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.cli.station import station
from workstation.errors import UsageError
from workstation.model.text import safe_line
from workstation.model.units import format_size

if TYPE_CHECKING:
    from workstation.cli.parser import Call
    from workstation.core.foreign.adopt import Imported
    from workstation.core.foreign.send import Sent

_SUFFIXES = {"libvirt": "xml"}


def export(call: "Call") -> None:
    """A machine as another program takes it."""
    for option in ("since", "flatten", "compress", "no_memory"):
        if getattr(call, option):
            raise UsageError(
                f"--{option.replace('_', '-')} is for bundles, and --format {call.format} is none",
                hint="leave one of the two out",
            )
    done = asyncio.run(_export(call))
    if call.json:
        files = [str(file) for file in done.files]
        data = {"name": call.name, "files": files, "size": done.size, "left_out": done.dropped}
        print(json.dumps(data, indent=2))
        return
    where = ", ".join(safe_line(str(file)) for file in done.files)
    print(f"“{call.name}”: in {where}, {format_size(done.size)}")
    print("".join(f"left out: {line}\n" for line in done.dropped), end="")
    if done.medium:
        print(f"{safe_line(done.medium)} can be pulled out when it is unmounted")


async def _export(call: "Call") -> "Sent":
    if call.file == "-":
        raise UsageError("only bundles go through a pipe", hint="name a file, or drop --format")
    async with station("export", call.name, line=True) as found:
        return await found.foreign.export(call.name, _target(call), call.format, tag=call.tag)


def _target(call: "Call") -> Path:
    path = Path(call.file).expanduser().absolute()
    suffix = _SUFFIXES.get(call.format, call.format)
    return path / f"{call.name}.{suffix}" if path.is_dir() else path


def is_foreign(path: Path) -> bool:
    """Whether a file comes from another program; raises for what nobody knows."""
    from workstation.core.foreign.recognise import Kind, recognise

    return recognise(path.absolute()) is not Kind.BUNDLE


def import_(call: "Call") -> None:
    """A machine of what another program has made."""
    if call.load_memory:
        raise UsageError("only bundles hold memory", hint="leave --load-memory out")
    done = asyncio.run(_import(call))
    if call.json:
        data = {"name": done.name, "kind": str(done.kind), "left_out": done.dropped}
        print(json.dumps(data, indent=2))
        return
    print(f"“{done.name}”: imported ({done.kind}); workstation start {done.name}: it boots")
    print("".join(f"left out: {safe_line(line)}\n" for line in done.dropped), end="")


async def _import(call: "Call") -> "Imported":
    async with station("import", line=True) as found:
        return await found.foreign.adopt(Path(call.file), call.name)

"""Export and import of other programs' formats: the same words as for bundles."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.cli.station import station
from workstation.errors import InvalidError, UsageError
from workstation.model.text import safe_line
from workstation.model.units import format_size

if TYPE_CHECKING:
    from workstation.cli.parser import Call
    from workstation.core.foreign.adopt import Imported
    from workstation.core.foreign.look import Looked
    from workstation.core.foreign.send import Sent

_SUFFIXES = {"libvirt": "xml"}


def export(call: "Call") -> None:
    """A machine as another program takes it."""
    for option in ("since", "flatten", "compress", "no_memory", "encrypt", "passphrase_file"):
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
    if call.into or call.discard:
        raise UsageError("only bundles bring a machine up to date", hint="leave --into out")
    if call.passphrase_file:
        raise UsageError("only bundles have a passphrase", hint="leave --passphrase-file out")
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


def inspect(call: "Call") -> int:
    """What is in a file of another program; 5 where it would not be taken."""

    async def act() -> "Looked":
        async with station("inspect", line=True) as found:
            return await found.foreign.look(Path(call.file))

    looked = asyncio.run(act())
    print(json.dumps(_looked_data(looked), indent=2) if call.json else _looked(looked))
    return InvalidError.exit_code if looked.problems else 0


def _looked(looked: "Looked") -> str:
    profile = looked.profile
    lines = [
        f"{looked.kind}: a machine that would be called “{looked.name}”",
        f"{_many(profile.cpu.count, 'CPU')}, {format_size(profile.memory)} of memory,"
        f" {profile.boot.firmware}, {_many(len(profile.networks), 'network adapter')}",
    ]
    for drive, (file, disk) in zip(profile.drives, looked.disks, strict=True):
        if disk:
            lines.append(f"disk: {file}, {disk.format}, {format_size(disk.size)}, on {drive.bus}")
        elif not file:
            lines.append(f"disk: blank, {format_size(drive.size or 0)}, on {drive.bus}")
    lines += [f"left out: {line}" for line in looked.dropped]
    lines += [f"not taken: {line}" for line in looked.problems]
    return "\n".join(safe_line(line, limit=1000) for line in lines)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _looked_data(looked: "Looked") -> dict[str, object]:
    return {
        "kind": str(looked.kind),
        "name": looked.name,
        "profile": looked.profile.model_dump(mode="json", exclude_none=True),
        "disks": [
            {"file": file, "format": disk.format, "size": disk.size} if disk else {"file": file}
            for file, disk in looked.disks
        ],
        "left_out": looked.dropped,
        "problems": looked.problems,
    }

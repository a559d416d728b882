"""The commands that carry machines in one file."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workstation.cli import foreign, passphrase
from workstation.cli.station import station
from workstation.cli.streams import interactive
from workstation.errors import LockedError
from workstation.model.text import safe_line
from workstation.model.units import format_size
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call
    from workstation.core.bundle.export import Exported, Wish
    from workstation.core.bundle.importing import Imported
    from workstation.core.bundle.inspection import Closed, Report
    from workstation.core.bundle.reader import Bundle

PIPE = "-"


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


# -- export ---------------------------------------------------------------------


def export(call: "Call") -> None:
    """A machine into a bundle, onto one, or into a pipe; or as another program takes it."""
    if call.format:
        foreign.export(call)
        return
    from workstation.core.bundle.export import Wish

    wish = Wish(
        tag=call.tag,
        since=call.since,
        flatten=call.flatten,
        compress=bool(call.compress),
        memory=not call.no_memory,
        passphrase=passphrase.new(call, _target(call)),
    )
    done = asyncio.run(_export(call, wish))
    text = _exported(call.name, done)
    if call.json:
        data = asdict(done) | {"file": str(done.file) if done.file else None}
        text = json.dumps({"name": call.name, **data}, indent=2)
    # A pipe carries the bundle and nothing else.
    print(text, file=sys.stderr if call.file == PIPE else sys.stdout)


async def _export(call: "Call", wish: "Wish") -> "Exported":
    async with station("export", call.name, line=True) as found:
        if call.file == PIPE:
            return await found.carry.stream(call.name, sys.stdout.fileno(), wish)
        return await found.carry.export(call.name, _target(call), wish)


def _target(call: "Call") -> Path:
    from workstation.core.bundle.target import within

    return within(Path(call.file).expanduser().absolute(), call.name)


def _exported(name: str, done: "Exported") -> str:
    holds = "goes on from its memory" if done.memory else "boots from its disks"
    layers = f"{done.layers} layer{'s' if done.layers != 1 else ''}"
    added = done.layers - done.added
    grown = f", {format_size(done.written)} added" if added else ""
    where = str(done.file) if done.file else "the pipe"
    return _lines(
        f"“{name}”: in {safe_line(where)}, {format_size(done.size)}{grown}: {layers}, {holds}",
        *(f"left out: {safe_line(text)}" for text in done.left_out),
        f"signed as {done.fingerprint}",
        f"{safe_line(done.medium)} can be pulled out when it is unmounted" if done.medium else "",
    )


# -- import ---------------------------------------------------------------------


def import_(call: "Call") -> None:
    """A bundle's machine into the library, or what another program has made."""
    if call.file != PIPE and foreign.is_foreign(file_of(call)):
        foreign.import_(call)
        return
    done = asyncio.run(_import(call))
    if call.json:
        print(json.dumps(asdict(done), indent=2))
        return
    print(_imported(done))


async def _import(call: "Call") -> "Imported":
    from workstation.core.bundle.importing import Words

    words = Words(call.name, call.load_memory, call.into, call.discard)
    async with station("import", line=True) as found:
        if call.file == PIPE:
            return await found.carry.import_stream(
                sys.stdin.fileno(), words, passphrase=passphrase.given(call)
            )
        path = file_of(call)
        secret = passphrase.known(call, path)
        bundle = await asyncio.to_thread(found.carry.bundle, path, secret)
        typed = call.load_memory or await asyncio.to_thread(asked_for_memory, bundle)
        words = words._replace(load_memory=typed)
        return await found.carry.import_file(path, words, passphrase=secret)


def file_of(call: "Call") -> Path:
    """The file, or the one bundle in that directory."""
    from workstation.core.foreign.recognise import meant

    return meant(Path(call.file).expanduser())


def asked_for_memory(bundle: "Bundle") -> str:
    """What a person types who wants a stranger's memory loaded; empty for a cold boot."""
    if not interactive():
        return ""
    from workstation.core.bundle.keys import Keys

    trusted = Keys(Paths.from_environment()).trusts(bundle.signer)
    if trusted or not bundle.manifest.machine.resume:
        return ""
    print(_lines(
        f"It was signed by {bundle.signer}, whom you do not trust.",
        "Its memory is loaded by QEMU, and could be made to harm it and this computer.",
        "Enter: it boots from its disks. To go on from its memory all the same, type the",
        "fingerprint as its owner tells you.",
    ))  # fmt: skip
    try:
        return input("> ").strip()
    except EOFError:
        return ""


def _imported(done: "Imported") -> str:
    """What is not as it was in the bundle, the log has told as warnings."""
    shared = f", {done.shared} of them here already" if done.shared else ""
    layers = f"{done.layers} layer{'s' if done.layers != 1 else ''}{shared}"
    goes_on = "goes on where it was" if done.resumes else "boots"
    signer = f"{done.signer} ({safe_line(done.signer_name) or 'not trusted'})"
    distrusted = (
        f"its memory was not taken for the start, for its signer is not trusted:"
        f" workstation trust add {done.signer}, then revert, goes on from it"
        if done.distrusted
        else ""
    )
    what = "brought up to date" if done.updated else "imported"
    return _lines(
        f"“{done.name}”: {what}, {layers}, {format_size(done.copied)} copied;"
        f" workstation start {done.name}: it {goes_on}",
        f"signed by {signer}",
        distrusted,
    )


# -- inspect --------------------------------------------------------------------

_GLYPHS = {"ok": "✓", "note": "•", "problem": "✗"}


def inspect(call: "Call") -> int:
    """What is in a bundle, from whom, is it whole, and does it go on here."""
    if foreign.is_foreign(file_of(call)):
        return foreign.inspect(call)
    from workstation.core.bundle import inspection

    async def act() -> "Report | Closed":
        async with station("inspect", line=True) as found:
            path, asked = file_of(call), passphrase.known if call.verify else passphrase.offered
            secret = asked(call, path)
            try:
                return await found.carry.inspect(path, verify_all=call.verify, passphrase=secret)
            except LockedError:
                if call.verify:
                    raise
                return await asyncio.to_thread(found.carry.closed, path)

    report = asyncio.run(act())
    if isinstance(report, inspection.Closed):
        print(json.dumps(_closed_data(report), indent=2) if call.json else _closed(report))
    elif call.json:
        print(json.dumps(_report_data(report), indent=2))
    else:
        print(_described(report))
    return 0


def _closed(report: "Closed") -> str:
    """What may be said without the passphrase."""
    signer = safe_line(report.signer_name) or "not trusted"
    return _lines(
        f"size       {format_size(report.size)}",
        "encrypted  what is in it is told with its passphrase only",
        f"signed     by {report.signer} ({signer}), and not changed since, as far as can be seen",
    )


def _closed_data(report: "Closed") -> dict[str, Any]:
    return {
        "file": str(report.path),
        "size": report.size,
        "id": report.identity,
        "encrypted": True,
        "signer": report.signer,
        "signer_name": report.signer_name,
        "trusted": report.trusted,
    }


def _report_data(report: "Report") -> dict[str, Any]:
    machine, layers = report.manifest.machine, report.manifest.layers
    return {
        "file": str(report.path),
        "size": report.size,
        "id": report.manifest.id,
        "created": report.manifest.created.isoformat(),
        "program": report.manifest.program,
        "machine": machine.model_dump(mode="json"),
        "layers": [
            {
                "id": one.layer.id,
                "parent": one.layer.parent,
                "created": one.layer.created.isoformat(),
                "note": one.layer.note,
                "memory": one.layer.memory is not None,
                "size": sum(file.size for file in one.files),
                "stored": sum(file.stored for file in one.files),
            }
            for one in layers
        ],
        "needed": [one.id for one in report.manifest.needed],
        "left_out": list(report.manifest.left_out),
        "signer": report.signer,
        "signer_name": report.signer_name,
        "trusted": report.trusted,
        "cut_off": report.cut_off,
        "verified": report.verified,
        "in_place": report.in_place,
        "import_copies": report.new,
        "resumes": report.resumes,
        "findings": [asdict(one) for one in report.findings],
    }


def _described(report: "Report") -> str:
    manifest = report.manifest
    machine = manifest.machine
    memories = sum(one.layer.memory is not None for one in manifest.layers)
    layers = f"{len(manifest.layers)}, {memories} with memory"
    whole = "yes, all of it was read" if report.verified else "its table of contents is; --verify"
    if report.cut_off:
        whole = f"an export onto it was cut off, what was there before is here; {whole}"
    facts = [
        ("machine", f"“{machine.name}”"),
        ("about", safe_line(machine.profile.description)),
        ("made", f"{manifest.created:%Y-%m-%d %H:%M} UTC, by {safe_line(manifest.program)}"),
        ("size", format_size(report.size)),
        ("layers", layers),
        ("snapshots", ", ".join(machine.snapshots) or "none"),
        ("left out", safe_line("; ".join(manifest.left_out))),
        ("whole", whole),
    ]
    lines = [f"{key:<10} {value}" for key, value in facts if value]
    for one in report.findings:
        lines.append(f"{_GLYPHS[one.level]} {one.subject:<9} {safe_line(one.text)}")
        if one.mend:
            lines.append(f"{'':<11} → {safe_line(one.mend)}")
    return "\n".join([*lines, _verdict(report)])


def _verdict(report: "Report") -> str:
    if report.resumes:
        return "It goes on here where it was."
    if not report.manifest.machine.resume:
        return "It boots here: it holds no memory to go on from."
    return "It boots here; it does not go on from its memory."

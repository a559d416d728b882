"""`workstation store`: what holds the frozen layers of all machines."""

import asyncio
import json
from typing import TYPE_CHECKING

from workstation.cli.station import station
from workstation.core.layers.check import Checked
from workstation.errors import InvalidError
from workstation.model.host import Level
from workstation.model.text import safe_line
from workstation.model.units import format_size

if TYPE_CHECKING:
    from workstation.cli.parser import Call

_GLYPHS = {Level.OK: "✓", Level.NOTE: "•", Level.PROBLEM: "✗"}


def collect(call: "Call") -> None:
    """Delete the layers that no machine stands on."""

    async def act() -> int:
        async with station("store gc", line=True) as found:
            return await asyncio.to_thread(found.layers.collect, dry_run=call.dry_run)

    freed = asyncio.run(act())
    if call.json:
        print(json.dumps({"freed": freed, "dry_run": call.dry_run}, indent=2))
    else:
        print(f"{format_size(freed)} {'would be freed' if call.dry_run else 'freed'}")


def check(call: "Call") -> int:
    """Look whether every layer is whole; not 0 where one is not."""

    async def act() -> list[Checked]:
        async with station("store check", line=True) as found:
            return await found.layers.check(repair=call.repair)

    found = asyncio.run(act())
    print(json.dumps([_data(one) for one in found], indent=2) if call.json else _report(found))
    bad = any(one.level is Level.PROBLEM for one in found)
    return InvalidError.exit_code if bad else 0


def _data(one: Checked) -> dict[str, str]:
    return {"subject": one.subject, "level": one.level, "text": one.text, "mend": one.mend}


def _report(found: list[Checked]) -> str:
    lines = []
    for one in found:
        if one.level is not Level.OK:
            lines.append(f"{_GLYPHS[one.level]} {one.subject}: {safe_line(one.text)}")
            lines += [f"    → {safe_line(one.mend)}"] if one.mend else []
    whole = sum(one.level is Level.OK for one in found)
    subjects = len({one.subject for one in found})
    return "\n".join([*lines, f"{_GLYPHS[Level.OK]} {whole} of {subjects} are whole"])

"""The commands that use a bundle where it lies."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.cli import passphrase
from workstation.cli.carry import asked_for_memory, file_of
from workstation.cli.showing import as_data, reachable
from workstation.cli.station import station
from workstation.core.library.names import find
from workstation.core.workstation import Workstation
from workstation.errors import InvalidError, UsageError
from workstation.model.text import safe_line
from workstation.model.units import format_size
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call
    from workstation.core.inplace.verbs import Opened


def open_(call: "Call") -> None:
    """Run a bundle's machine from where it is; or say where the bundle of a machine is now."""
    path = file_of(call)
    if call.machine:
        _found_again(call, path)
        return
    if call.load_memory and call.cold:
        raise UsageError("--cold loads no memory", hint="leave --load-memory out")
    asyncio.run(_open(call, path))


async def _open(call: "Call", path: Path) -> None:
    async with station("open", line=True) as found:
        secret = passphrase.known(call, path)
        bundle = await asyncio.to_thread(found.carry.unlock, path, secret)
        typed = call.load_memory
        if not typed and not call.cold:
            typed = await asyncio.to_thread(asked_for_memory, bundle)
        done = await found.inplace.open(
            path, call.name, load_memory=typed, cold=call.cold, force=call.force
        )
        await found.start(done.name, force=call.force)
        _say(call, found, done, path)
        if call.settle:
            await _settle(found, done.name)
        elif not call.no_verify:
            for alarm in await found.inplace.vigil.keep(done.name):
                raise InvalidError(
                    safe_line(alarm, limit=400),
                    hint=f"workstation stop {done.name}; copy the bundle again from where it was"
                    " made",
                )


def _say(call: "Call", found: Workstation, done: "Opened", path: Path) -> None:
    """Said as soon as it runs: what comes then may take minutes. The warnings were told before."""
    view = found.view(done.name)
    if call.json:
        print(json.dumps(as_data(view) | {"opened": asdict(done)}, indent=2), flush=True)
        return
    goes_on = "goes on where it was" if done.resumes else "boots"
    where = "".join(f"  {address}" for address in reachable(view))
    print(f"“{done.name}”: {goes_on}, and reads in {safe_line(str(path))}{where}")
    print(f"signed by {done.signer} ({safe_line(done.signer_name) or 'not trusted'})")
    if done.distrusted:
        print("its memory was not loaded, for its signer is not trusted")
    print(f"to pull the stick out later: workstation settle {done.name}", flush=True)


def _found_again(call: "Call", path: Path) -> None:
    async def act() -> None:
        async with station("open", call.machine) as found:
            await asyncio.to_thread(found.inplace.find_again, call.machine, path)

    find(Paths.from_environment(), call.machine)
    asyncio.run(act())
    data = {"name": call.machine, "reads": [str(path.resolve())]}
    text = f"“{call.machine}”: reads in {safe_line(str(path))} from its next start or resume on"
    print(json.dumps(data, indent=2) if call.json else text)


def settle(call: "Call") -> None:
    """What a machine reads in bundles comes into the library, while its guest runs."""

    async def act() -> None:
        async with station("settle", call.name, line=True) as found:
            text, data = await _settle(found, call.name)
            print(json.dumps(data, indent=2) if call.json else text)

    asyncio.run(act())


async def _settle(found: Workstation, name: str) -> tuple[str, dict[str, object]]:
    done = await found.inplace.settle(name)
    data: dict[str, object] = {"name": name, **asdict(done)}
    if not done.layers:
        return f"“{name}”: all of it is in the library already", data
    text = f"“{name}”: {format_size(done.copied)} copied, the stick is needed no more"
    if done.still:
        others = ", ".join(f"“{one}”" for one in done.still)
        text = (
            f"“{name}”: {format_size(done.copied)} copied; but {others} could not be told, and"
            f" reads on the stick until it is stopped: then workstation settle {name} again"
        )
    return text, data

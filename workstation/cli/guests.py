"""`workstation exec`, `wait` and `setup`: what is done in a running guest."""

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from workstation.cli.station import station
from workstation.model.guest import Ran

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def execute(call: "Call") -> int:
    """Its exit code is the command's."""
    given = sys.stdin.buffer.read() if call.input else b""

    async def act() -> Ran:
        async with station("exec", call.name) as found:
            return await found.guests.run(call.name, call.words, given=given, timeout=call.timeout)

    ran = asyncio.run(act())
    if call.json:
        print(json.dumps(_as_data(call.name, ran), indent=2))
        return 0
    for data, stream in ((ran.out, sys.stdout), (ran.err, sys.stderr)):
        _show(data, stream)
    if ran.cut:
        from workstation.cli.trouble import warn

        warn("it printed more than the agent keeps: the rest is lost")
    return ran.code


def _as_data(name: str, ran: Ran) -> dict[str, object]:
    return {
        "name": name,
        "exit_code": ran.code,
        "stdout": ran.out.decode(errors="replace"),
        "stderr": ran.err.decode(errors="replace"),
        "cut": ran.cut,
    }


def _show(data: bytes, stream: object) -> None:
    """The bytes as they are; on a terminal only what can do no harm there."""
    from workstation.core.serial.escapes import Filter

    written = stream.buffer  # type: ignore[attr-defined]
    if stream.isatty():  # type: ignore[attr-defined]
        harmless = Filter()
        data = harmless.feed(data) + harmless.undo()
    written.write(data)
    written.flush()


def wait(call: "Call") -> None:
    """Until it has come."""

    async def act() -> None:
        async with station("wait", call.name) as found:
            await found.guests.wait_for(call.name, call.what, timeout=call.timeout)

    asyncio.run(act())
    told = {"name": call.name, "for": call.what}
    print(json.dumps(told, indent=2) if call.json else f"“{call.name}”: {call.what} is there")


def setup(call: "Call") -> None:
    """Whether its system is set up; with --forget, what does that is taken away now."""

    async def act() -> bool:
        async with station("setup", call.name) as found:
            if call.forget:
                await found.guests.forget_setup(call.name)
                return True
            return await found.guests.look(call.name)

    done = asyncio.run(act())
    told = "nothing of its set-up is left in it" if done else "its first boot has not finished"
    print(
        json.dumps({"name": call.name, "done": done}, indent=2)
        if call.json
        else f"“{call.name}”: {told}"
    )

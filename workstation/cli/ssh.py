"""`workstation ssh`, `cp` and `ssh-config`: into a guest by the system's own programs."""

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from workstation.cli.station import station
from workstation.core.guest.copying import Copy, parse
from workstation.core.workstation import Workstation
from workstation.errors import NotFoundError, UsageError, WorkstationError

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def ssh(call: "Call") -> int:
    """A shell there, or one command; the exit code is ssh's."""
    if call.words and call.words[0].partition("=")[0] in ("--user", "--new-host-key"):
        raise UsageError(
            f"{call.words[0]} stands behind the machine's name, where its guest's command begins",
            hint=f"workstation ssh {' '.join(call.words[:2])} {call.name}",
        )

    async def act() -> int:
        async with station("ssh", call.name) as found:
            await found.guests.look(call.name)
            if call.new_host_key:
                found.guests.forget_host_keys(call.name)
            terminal = bool(call.words) and sys.stdin.isatty() and sys.stdout.isatty()
            return await found.guests.ssh(call.name, call.words, user=call.user, terminal=terminal)

    return asyncio.run(act())


def cp(call: "Call") -> int:
    """By scp; through the agent where there is no ssh, or where that is asked for."""
    copy = parse(call.source, call.target)
    if copy.into_guest and not copy.outside.exists():
        raise NotFoundError(f"there is no file {copy.outside}", hint="check its path")
    code = asyncio.run(_copied(call, copy))
    if call.json and not code:
        print(json.dumps({"name": copy.name, "from": call.source, "to": call.target}, indent=2))
    return code


async def _copied(call: "Call", copy: Copy) -> int:
    async with station("cp", copy.name, line=True) as found:
        await found.settled(copy.name)
        if not call.agent and await _has_ssh(found, copy.name):
            return await found.guests.scp(copy, user=call.user, recursive=call.recursive)
        if call.recursive:
            raise UsageError(
                "the agent copies files, and no directories",
                hint=f"workstation ssh {copy.name} must work for --recursive",
            )
        await found.guests.copy(copy)
        return 0


async def _has_ssh(found: Workstation, name: str) -> bool:
    """Whether something answers there; the agent takes its place where nothing does."""
    try:
        await found.guests.wait_for(name, "port:22", timeout=3)
    except WorkstationError:
        return False
    return True


def ssh_config(call: "Call") -> None:
    """Write the file, and print the line that makes ssh read it."""

    async def act() -> tuple[str, list[str]]:
        async with station("ssh-config") as found:
            names = await asyncio.to_thread(found.guests.write_ssh_config)
            return str(found.paths.ssh_config), names

    file, names = asyncio.run(act())
    hosts = [f"{name}.vm" for name in names]
    if call.json:
        print(json.dumps({"file": file, "hosts": hosts}, indent=2))
        return
    print(f'Include "{file}"')
    if sys.stderr.isatty():
        reached = ", ".join(hosts) or "no machine that runs can be reached by ssh"
        print(f"put that line at the top of ~/.ssh/config; now: {reached}", file=sys.stderr)

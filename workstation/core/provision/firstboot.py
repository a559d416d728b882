"""When a guest's first boot has finished, what set it up is taken out of it and thrown away.

How that is known:

- cloud-init prints a word on the serial line that only the seed contains; where the console is
  not there, the agent says whether cloud-init's own mark of the end (`boot-finished`) is there.
- Ignition works before the system starts: what the profile calls `ready` was printed.
- Any of them, and an installer only so: the agent answers. Installers have none; what they
  installed has.
"""

import asyncio
from contextlib import suppress

from workstation.core.guest.agent import Agent, asking
from workstation.core.machine.machine import Machine
from workstation.core.provision import cloud, seed
from workstation.core.provision.seed import Seed
from workstation.core.serial import log as serial
from workstation.errors import BusyError, MonitorError, WorkstationError
from workstation.model.events import Severity
from workstation.model.provision import Answers
from workstation.qemu.monitor import Monitor

LOOK_SECONDS = 0.3
"""Between two looks at what the guest prints, which is a file that nobody announces."""

ASK_SECONDS = 5.0
"""Between two questions to its agent."""

_LOOKED_THROUGH = 2**22


def printed(machine: Machine, found: Seed) -> bool:
    """Whether the guest has said so on its serial line."""
    if found.by_cloud_init:
        words = cloud.finished(found.token)
    elif found.kind == Answers.IGNITION and machine.definition:
        words = machine.definition.profile.ready
    else:
        words = ""
    return bool(words) and words.encode() in serial.tail(machine.paths.serial_log, _LOOKED_THROUGH)


async def told(machine: Machine, found: Seed) -> bool:
    """Whether its agent says so; False where none answers, or is not allowed to."""
    try:
        async with asking(machine) as agent:
            return not found.by_cloud_init or await _boot_finished(agent, found.instance)
    except WorkstationError:
        return False


async def _boot_finished(agent: Agent, instance: str) -> bool:
    """cloud-init's mark for that very machine: an image may have one of another that it was."""
    path = f"/var/lib/cloud/instances/{instance}/boot-finished"
    with suppress(MonitorError):
        handle = await agent.execute("guest-file-open", path=path, mode="r")
        await agent.execute("guest-file-close", handle=handle)
        return True
    return False


async def finished(machine: Machine, found: Seed) -> bool:
    """Whether there is any sign of it now."""
    return await asyncio.to_thread(printed, machine, found) or await told(machine, found)


async def look(machine: Machine, front_end: str) -> bool:
    """Take the seed away if its work is done; returns whether there is none (any more)."""
    found = seed.read(machine.paths)
    if not found:
        return True
    if machine.pair() and not await finished(machine, found):
        return False
    if not machine.pair() and not await asyncio.to_thread(printed, machine, found):
        return False
    with suppress(BusyError):  # looked at again by whoever comes next
        await take_away(machine, front_end)
        machine.log("its system is set up")
        return True
    return False


async def take_away(machine: Machine, front_end: str) -> None:
    """Out of the guest's drive, and off this computer; raises BusyError."""
    with machine.unasked("set up", front_end):
        found = seed.read(machine.paths)
        if not found:
            return
        if found.cdrom >= 0 and machine.pair():
            await machine.settled()
            if machine.monitor:
                await _eject(machine.monitor, found.cdrom)
        await asyncio.to_thread(seed.remove, machine.paths)
    machine.look()


async def _eject(monitor: Monitor, number: int) -> None:
    device, node = f"cdrom{number}-device", f"cdrom{number}"
    with suppress(MonitorError):  # taken out already
        await monitor.execute("blockdev-open-tray", id=device, force=True)
        await monitor.execute("blockdev-remove-medium", id=device)
        await monitor.execute("blockdev-close-tray", id=device)
        await monitor.execute("blockdev-del", **{"node-name": node})


async def until(machine: Machine, front_end: str) -> None:
    """Return when its system is set up, and nothing of that is left; while it runs."""
    clock = asyncio.get_running_loop().time
    next_question = 0.0
    while found := seed.read(machine.paths):
        done = await asyncio.to_thread(printed, machine, found)
        if not done and machine.pair() and clock() >= next_question:
            done = await told(machine, found)
            next_question = clock() + ASK_SECONDS
        if done:
            with suppress(BusyError):
                await take_away(machine, front_end)
                machine.log("its system is set up")
                return
        await asyncio.sleep(LOOK_SECONDS)


def at_rest(machine: Machine) -> None:
    """Before a start, under the machine's lock: what has done its work is not given again."""
    found = seed.read(machine.paths)
    if found and printed(machine, found):
        seed.remove(machine.paths)


class FirstBoots:
    """A front-end that stays takes each seed away as soon as its work is done."""

    def __init__(self, front_end: str, group: asyncio.TaskGroup) -> None:
        self._front_end = front_end
        self._group = group
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def notice(self, machine: Machine) -> None:
        """Something about it has changed."""
        if machine.view.unfinished and machine.view.pid and machine.name not in self._tasks:
            task = self._group.create_task(self._watch(machine), name=f"set up {machine.name}")
            self._tasks[machine.name] = task

    def cancel(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def _watch(self, machine: Machine) -> None:
        watching = asyncio.ensure_future(until(machine, self._front_end))
        ended = asyncio.ensure_future(machine.until(lambda view: not view.pid))
        try:
            await asyncio.wait({watching, ended}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done() and (error := watching.exception()):
                machine.log(f"what sets it up is still in it: {error}", Severity.WARNING)
        finally:
            watching.cancel()
            ended.cancel()
            self._tasks.pop(machine.name, None)

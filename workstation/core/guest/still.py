"""A running guest's file systems, held still around a snapshot of its disks alone.

Without that such a snapshot is as after a power cut; with it every file system is whole and clean.
They must be let go whatever comes, so it is written down before that they are held (mend.py):
whoever finds the move cut off lets them go.
"""

import asyncio

from workstation.core.guest.agent import Agent, listens, talking
from workstation.core.machine.machine import Machine
from workstation.errors import MonitorError, WaitTimeoutError, WorkstationError
from workstation.model.events import Severity

FREEZE_SECONDS = 10.0
"""Everything that is still to be written goes to its disks first."""

THAW_SECONDS = 10.0

_TRIES = 3


async def hold(machine: Machine) -> bool:
    """Whether the guest holds its file systems still now. It must be running.

    Where the call was not answered in time they may be: then it is True as well.
    """
    try:
        await _listening(machine)
        async with talking(machine.paths, patience=2.0, seconds=FREEZE_SECONDS) as agent:
            return await _frozen(machine, agent)
    except WorkstationError as error:
        machine.log(
            f"its disks are frozen as after a power cut: {error}",
            Severity.INFO if isinstance(error, WaitTimeoutError) else Severity.WARNING,
        )
        return False


async def _listening(machine: Machine) -> None:
    if machine.monitor is None:
        raise WaitTimeoutError(f"“{machine.name}” cannot be asked")
    await listens(machine.name, machine.monitor, 0)


async def _frozen(machine: Machine, agent: Agent) -> bool:
    try:
        await agent.execute("guest-fsfreeze-freeze")
    except MonitorError as error:
        machine.log(f"its disks are frozen as after a power cut: {error}", Severity.WARNING)
        await agent.execute("guest-fsfreeze-thaw")  # some of them may be held
        return False
    except WaitTimeoutError:
        return True
    return True


async def let_go(machine: Machine) -> None:
    """Every file system takes writes again. The guest must be running; says so where it fails.

    A guest without an agent holds nothing.
    """
    try:
        await _listening(machine)
    except WorkstationError:
        return
    for attempt in range(_TRIES):
        try:
            async with talking(machine.paths, patience=THAW_SECONDS, seconds=THAW_SECONDS) as agent:
                await agent.execute("guest-fsfreeze-thaw")
                return
        except WorkstationError as error:
            if attempt == _TRIES - 1:
                machine.log(
                    f"its file systems may still be held: {error};"
                    f" workstation reset {machine.name} brings it back",
                    Severity.ERROR,
                )
        await asyncio.sleep(0.2)

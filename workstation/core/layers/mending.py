"""What a killed front-end left half done is mended by one that stays, without anybody asking."""

import asyncio

from workstation.core.layers.mend import mend
from workstation.core.layers.store import Store
from workstation.core.machine.machine import Machine
from workstation.errors import BusyError, WorkstationError
from workstation.model.events import Severity

GRACE_SECONDS = 1.0
"""How long something may lie there cut off: the verb that is asked for next mends too."""


class Mending:
    """Mends each machine as soon as nobody is at work on it."""

    def __init__(self, store: Store, front_end: str, group: asyncio.TaskGroup) -> None:
        self._store = store
        self._front_end = front_end
        self._group = group
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def notice(self, machine: Machine) -> None:
        """Something about it has changed."""
        free = machine.view.holder is None and machine.name not in self._tasks
        if free and machine.paths.pending.exists():
            task = self._group.create_task(self._mend(machine), name=f"mend {machine.name}")
            self._tasks[machine.name] = task

    def cancel(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def _mend(self, machine: Machine) -> None:
        await asyncio.sleep(GRACE_SECONDS)
        try:
            if machine.paths.pending.exists():
                with machine.unasked("mend", self._front_end):
                    await mend(machine, self._store)
                machine.log("something that was cut off here is mended")
        except BusyError:
            pass  # noticed again when that front-end lets go
        except (WorkstationError, OSError) as error:
            # Not again and again: the next verb on the machine tries again, and says so.
            machine.log(f"something here was cut off: {error}", Severity.WARNING)
            return
        self._tasks.pop(machine.name)

"""The machines that one front-end watches over: found, supervised, let go of."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from functools import partial

from workstation.core.lan.plug import mend
from workstation.core.library import names
from workstation.core.machine.machine import Machine
from workstation.model.events import Event, MachineRemoved, Severity
from workstation.paths import Paths


class Fleet:
    """The machines by name; `only` narrows them to those.

    `noticed` is told each machine that is new here, or whose files somebody touched.
    """

    def __init__(
        self,
        paths: Paths,
        publish: Callable[[Event], None],
        noticed: Callable[[Machine], None],
        only: Collection[str] | None,
    ) -> None:
        self._paths = paths
        self._publish = publish
        self._noticed = noticed
        self._only = only
        self._machines: dict[str, Machine] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def adopt_all(self, group: asyncio.TaskGroup) -> None:
        """Supervise every machine that is there, and from now on each that is adopted."""
        self._group = group
        for name in names.names(self._paths):
            if self._only is None or name in self._only:
                self._adopt(name)
                # A large library is read between the frames of the screen, not before them.
                await asyncio.sleep(0)

    def __iter__(self) -> Iterator[Machine]:
        """Sorted by name."""
        return iter([self._machines[name] for name in sorted(self._machines)])

    def get(self, name: str) -> Machine | None:
        return self._machines.get(name)

    def find(self, name: str) -> Machine:
        """Raises NotFoundError where there is none; one that is not known yet is adopted."""
        if name not in self._machines:
            names.find(self._paths, name)
            return self._adopt(name)
        return self._machines[name]

    def touched(self, name: str) -> None:
        """A file of that machine changed, by whomever."""
        if self._only is not None and name not in self._only:
            return
        there = names.NAME.fullmatch(name) and self._paths.machine(name).file.exists()
        machine = self._machines.get(name)
        if machine and (there or machine.paths.data.exists()):
            machine.look()
            machine.poke()
            self._noticed(machine)
        elif machine:
            self.forget(name)
        elif there:
            self._adopt(name)

    def forget(self, name: str) -> None:
        """It is there no more."""
        if self._machines.pop(name, None):
            self._tasks.pop(name).cancel()
            self._publish(MachineRemoved(name))

    def cancel(self) -> None:
        """Supervise none any more."""
        for task in self._tasks.values():
            task.cancel()

    def _adopt(self, name: str) -> Machine:
        machine = Machine(self._paths.machine(name), self._publish, partial(mend, self._paths))
        self._machines[name] = machine
        self._noticed(machine)
        self._tasks[name] = self._group.create_task(_supervise(machine), name=f"vm {name}")
        return machine


async def _supervise(machine: Machine) -> None:
    """A machine's failures are its own: they are told, and it is looked at again."""
    while True:
        try:
            await machine.supervise()
        except Exception as error:
            machine.log(f"supervision failed: {error!r}", Severity.ERROR)
            await asyncio.sleep(1)

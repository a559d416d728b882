"""The text console on a line that is played from outside: `python -m tests.bench.echo_front DIR`.

DIR holds what belongs to the machine `echo`, which counts as running: its serial socket is there
before this begins, and whoever listens on it is the guest.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.fakes.profiles import profile
from tests.fakes.workstation import FakeWorkstation
from workstation.core.serial.session import Session
from workstation.model.machine import MachineView, State
from workstation.paths import Paths
from workstation.ui import run

NAME = "echo"


class EchoWorkstation(FakeWorkstation):
    """One machine, with a serial line that is real."""

    def session(self, name: str) -> Any:
        async def until(reached: Callable[[MachineView], bool]) -> MachineView:
            await asyncio.Event().wait()
            return self.machines[name]

        machine: Any = SimpleNamespace(
            paths=self.paths.machine(name), definition=None, view=self.machines[name],
            pair=lambda: 1, until=until, monitor=None,
        )  # fmt: skip
        return Session(machine)


def main() -> None:
    root = Path(sys.argv[1])
    paths = Paths(root / "data", root / "config", root / "cache", root / "run")
    view = MachineView(NAME, State.RUNNING, profile(NAME), since=1.0)
    run(lambda: EchoWorkstation(paths, views=[view]))


if __name__ == "__main__":
    main()

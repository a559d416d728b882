"""A live run to look at: invented machines that move by themselves."""

import argparse
import asyncio
import importlib
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fakes.layers import NOW, demo_past, recent, screen_of_a_guest
from tests.fakes.machines import SERIAL, library, many, samples_of
from tests.fakes.screens import desktop
from tests.fakes.workstation import GIB, FakeWorkstation
from workstation.core.workstation import Workstation
from workstation.model.events import Activity, MachineChanged, Sampled
from workstation.model.host import Finding, HostFacts, Level
from workstation.model.machine import State, Verb, require
from workstation.paths import Paths


async def play(station: FakeWorkstation, period: float = 1.0) -> None:
    """Samples, output and changes of state, for as long as it is awaited."""
    async for step in _steps(period):
        live = [name for name, view in station.machines.items() if view.state.live]
        for name in live:
            station.history.setdefault(name, []).append(samples_of(step + len(name), 1)[0])
            del station.history[name][:-120]
            station.serial[name] = station.serial.get(name, SERIAL) + b"\r\ntick %d" % step
        station.publish(Sampled({name: station.history[name][-1] for name in live}))
        if station.calm:
            continue
        work = Activity(1, "export sales-demo → STICK", (step % 30) * 1e8, 3e9, "B", 2.12e8)
        station.publish(replace(work, finished=step % 30 == 29))


async def storm(station: FakeWorkstation, period: float = 0.1) -> None:
    """Every live machine changes, over and over."""
    async for step in _steps(period):
        state = State.PAUSED if step % 2 else State.RUNNING
        for name, view in station.machines.items():
            if view.state.live:
                station.change(name, state=state)


async def _steps(period: float) -> AsyncIterator[int]:
    step = 0
    while True:
        yield step
        await asyncio.sleep(period)
        step += 1


class PlayingWorkstation(FakeWorkstation):
    """One that moves by itself from the moment it is entered."""

    stormy = False
    _players: tuple[asyncio.Task[None], ...] = ()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        players = [play(self), storm(self)] if self.stormy else [play(self)]
        self._players = tuple(asyncio.create_task(player) for player in players)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for task in self._players:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _move(self, verb: Verb, name: str, state: State, *more: str) -> None:
        passing = {State.RUNNING: State.STARTING, State.OFF: State.STOPPING}.get(state)
        if passing and verb in (Verb.START, Verb.STOP):
            require(verb, name, self._views[name].state)
            self.change(name, state=passing, since=time.time())
            await asyncio.sleep(1.5)
            self.change(name, state=State.OFF if verb is Verb.START else State.RUNNING)
        await super()._move(verb, name, state, *more)
        self.change(name, since=time.time())


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes", description=__doc__)
    parser.add_argument("--machines", type=int, default=0)
    parser.add_argument("--live", type=int, default=50)
    parser.add_argument("--storm", action="store_true", help="50 machines change 10 times a second")
    parser.add_argument("--calm", action="store_true", help="no long work")
    parser.add_argument("--empty", action="store_true")
    parser.add_argument("--desktop", action="store_true", help="every machine has a screen")
    parser.add_argument("--no-qemu", action="store_true")
    options = parser.parse_args(argv)

    def make() -> Workstation:
        model = many(options.machines, options.live) if options.machines else library()
        home = tempfile.mkdtemp()
        picture = screen_of_a_guest(Path(home))
        station = PlayingWorkstation(Paths.from_environment({"HOME": home}))
        station.stormy, station.calm = options.storm, options.calm
        if not options.empty:
            for view in model.machines.values():
                shifted = replace(view, since=view.since and view.since - NOW + time.time())
                station.publish(MachineChanged(shifted))
            station.history, station.serial, station.log = (
                model.history, model.serial, model.log,
            )  # fmt: skip
            station.past.pasts = {name: recent(demo_past(picture)) for name in station.machines}
            station.past.unsaved = dict.fromkeys(station.machines, 84 * 2**20)
            if options.desktop:
                # A busy computer is no terminal without graphics.
                vars(importlib.import_module("workstation.ui.screen.graphics"))["SECONDS"] = 60.0
                station.screens.canvases = dict.fromkeys(station.machines, desktop())
        if options.no_qemu:
            station.facts = HostFacts(memory=24 * GIB)
            station.doctor[0] = Finding(
                "QEMU", Level.PROBLEM, "QEMU is not installed", "apt install qemu-system-x86"
            )
        return station

    from workstation.ui import run

    run(make)


if __name__ == "__main__":
    main()

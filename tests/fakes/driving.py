"""The screens on invented machines, driven by a test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from tests.fakes.layers import NOW
from tests.fakes.workstation import GIB, FakeWorkstation
from workstation.ui.app import WorkstationApp
from workstation.ui.outside import Outside

Opened = tuple[WorkstationApp, Pilot[None]]

OUTSIDE = Outside(
    now=lambda: NOW, disk_free=lambda path: 80 * GIB, disk_used=lambda path: 84 * 2**20
)


def app_on(station: FakeWorkstation, **more: Any) -> WorkstationApp:
    """The program on this station, with a fixed clock and a spinner that stands still."""
    return WorkstationApp(lambda: station, outside=OUTSIDE, spin=False, **more)


async def ready(condition: Callable[[], object]) -> None:
    """Let the program run until the condition holds; raises TimeoutError if it never does."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (it may be anything on the screen)
            await asyncio.sleep(0.01)


async def until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    """The same, and until everything is painted."""
    await ready(condition)
    await pilot.pause()


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until the library is open and the header says everything."""
    library = cast(WorkstationApp, pilot.app).library
    await ready(lambda: library.header.usage.disk_free is not None)


@asynccontextmanager
async def opened(
    station: FakeWorkstation, size: tuple[int, int] = (100, 30)
) -> AsyncIterator[Opened]:
    """The program, open on this station."""
    app = app_on(station)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        await pilot.pause()
        yield app, pilot


def shown(app: App[Any]) -> str:
    """Every character on the screen, a line each."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


@asynccontextmanager
async def on(station: FakeWorkstation, name: str = "sales-demo") -> AsyncIterator[Opened]:
    """The library, with the cursor on that machine."""
    async with opened(station) as (app, pilot):
        app.library.go_to(name)
        yield app, pilot


async def dialog(app: WorkstationApp, pilot: Pilot[Any], kind: type) -> str:
    """Wait for a dialog of that kind; returns what is on the screen."""
    await until(pilot, lambda: isinstance(app.screen, kind))
    return shown(app)


async def closed(app: WorkstationApp, pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: app.screen is app.library)


def words_of(app: WorkstationApp) -> str:
    """What is shown, without frames and ends of lines."""
    return " ".join(shown(app).replace("│", " ").split())


def box(app: WorkstationApp, name: str) -> Input:
    return app.screen.query_one(f"#{name}", Input)

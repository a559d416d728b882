"""Any keys, as fast as they come: the screens stand, whatever is typed while they open or close."""

import asyncio
import random
import string

import pytest
from textual import events
from textual.widgets import Input

from tests.fakes.driving import app_on, settled, shown, until
from tests.fakes.machines import library
from tests.fakes.screens import text_screen
from workstation.ui.dialogs.snapshot import SnapshotDialog
from workstation.ui.new.dialog import NewDialog

OFTEN = ["enter"] * 12 + ["escape"] * 10 + ["tab"] * 6 + ["down"] * 5 + ["up"] * 4
NAMED = ["shift+tab", "left", "right", "home", "end", "pageup", "pagedown", "backspace", "delete",
         "ctrl+u", "ctrl+k", "ctrl+p", "ctrl+s", "ctrl+b", "ctrl+right_square_bracket",
         "ctrl+backslash", "f1", "f5", "shift+pageup", "space"]  # fmt: skip
LETTERS = [one for one in string.ascii_letters + string.digits + "/?:.-_" if one != "q"]
"""Without the one that quits; it is the last key of each run."""


def key(name: str) -> events.Key:
    return events.Key(name, name if len(name) == 1 else None)


async def hasty(seed: int, keys: int) -> None:
    """Bursts, with and without time for the program in between."""
    chance = random.Random(seed)
    station = library()
    station.screens.canvases["sales-demo"] = text_screen("one", "two", cursor=1)
    app = app_on(station)
    async with app.run_test(size=chance.choice([(100, 30), (80, 24)])) as pilot:
        await settled(pilot)
        app.library.go_to("sales-demo")
        while keys > 0:
            burst = chance.choices(OFTEN + NAMED + LETTERS, k=chance.choice([1, 1, 2, 5, 12]))
            keys -= len(burst)
            for name in burst:
                app.post_message(key(name))
            if chance.random() < 0.1:
                app.post_message(events.Paste("pasted\nlines"))
            for _ in range(chance.choice([0, 1, 3, 30])):
                await asyncio.sleep(0)
            await asyncio.sleep(chance.choice([0, 0, 0.001, 0.02, 0.1]))
        app.post_message(key("q"))
        await asyncio.sleep(0.05)
        # `run_test` raises what the program has failed with.


@pytest.mark.parametrize("seed", [11, 13, 34, 57])  # each has found something
async def test_any_keys_in_any_haste(seed: int) -> None:
    await hasty(seed, 150)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 140))
async def test_more_keys_in_any_haste(seed: int) -> None:
    await hasty(seed, 500)


async def test_what_is_typed_while_a_dialog_opens_is_typed_there() -> None:
    station = library()
    async with app_on(station).run_test(size=(100, 30)) as pilot:
        app = pilot.app
        await settled(pilot)
        app.library.go_to("sales-demo")  # type: ignore[attr-defined]
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, SnapshotDialog))
        await pilot.press("escape")
        app.post_message(key("t"))
        while not isinstance(app.screen, SnapshotDialog):  # noqa: ASYNC110
            await asyncio.sleep(0)
        for name in (*"mine", "tab", *"why"):
            app.post_message(key(name))
        await until(
            pilot, lambda: [box.value for box in app.screen.query(Input)] == ["mine", "why"]
        )


async def test_a_dialog_that_is_closed_before_it_is_there_closes() -> None:
    async with app_on(library()).run_test(size=(100, 30)) as pilot:
        app = pilot.app
        await settled(pilot)
        app.post_message(key("n"))
        while not isinstance(app.screen, NewDialog):  # noqa: ASYNC110
            await asyncio.sleep(0)
        app.screen.dismiss(None)
        await until(pilot, lambda: not isinstance(app.screen, NewDialog))
        assert "sales-demo" in shown(app)

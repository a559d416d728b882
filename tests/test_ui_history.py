"""The history screen: the tree, and what is done with each layer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Input

from tests.fakes.driving import closed, dialog, on, shown, until
from tests.fakes.layers import a_layer, screen_of_a_guest
from tests.fakes.machines import library
from tests.fakes.workstation import FakeWorkstation
from tests.test_ui_library import HOSTILE, assert_harmless
from workstation.errors import HostError, NotAllowedError
from workstation.model.events import Activity
from workstation.model.machine import State
from workstation.ui.app import WorkstationApp
from workstation.ui.commands.history import COMMANDS
from workstation.ui.dialogs.choose import Choose
from workstation.ui.dialogs.confirm import Confirm
from workstation.ui.dialogs.error import ErrorDialog
from workstation.ui.dialogs.help import HelpDialog
from workstation.ui.dialogs.name import NameDialog
from workstation.ui.dialogs.snapshot import SnapshotDialog
from workstation.ui.history import HistoryScreen
from workstation.ui.past import tree
from workstation.ui.widgets.screen_picture import ScreenPicture


@asynccontextmanager
async def in_history(
    station: FakeWorkstation, tag: str = "", name: str = "sales-demo"
) -> AsyncIterator[tuple[WorkstationApp, Pilot[None], HistoryScreen]]:
    """The history of a machine, with the cursor on a snapshot."""
    async with on(station, name) as (app, pilot):
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and app.screen.past)
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        await go(pilot, screen, tag)
        yield app, pilot, screen


async def go(pilot: Pilot[Any], screen: HistoryScreen, tag: str) -> None:
    """Put the cursor on a snapshot, from the top down; branches are unfolded on the way."""
    await pilot.press("home")
    while screen.tag != tag:
        if screen.row and screen.row.folded and not _seen(screen, tag):
            await pilot.press("space")
            await until(pilot, lambda: screen.row and not screen.row.folded)
            await pilot.press("home")
            continue
        before = screen.rows.cursor
        await pilot.press("down")
        assert screen.rows.cursor != before, f"there is no {tag}"


def _seen(screen: HistoryScreen, tag: str) -> bool:
    """Whether that snapshot has a row of its own now."""
    assert screen.past
    return tag in {
        one for row in tree(screen.past, screen.rows.turned) if row.entry for one in row.entry.tags
    }


async def test_a_branch_is_folded_and_unfolded() -> None:
    async with in_history(library(), "before-nginx") as (app, pilot, screen):
        assert "├─○ before-nginx  ▸ 1 more" in shown(app)
        assert "nginx-works" not in shown(app).split("before-nginx")[0]
        assert "Unfold" in shown(app)
        await pilot.press("right")
        await until(pilot, lambda: "│ ○ nginx-works" in shown(app))
        assert screen.tag == "before-nginx"
        await pilot.press("left")
        await until(pilot, lambda: "▸ 1 more" in shown(app))


async def test_the_history_is_a_tree_with_the_newest_on_top() -> None:
    async with in_history(library()) as (app, _, screen):
        rows = [line[: screen.rows.size.width].rstrip() for line in shown(app).splitlines()]
        for row, parts in enumerate(
            (
                ("● now", "84 MiB not in a snapshot"),
                (" ◆ golden", "❄ 131.4 MiB", "2 h ago"),
                (" ├─○ before-nginx  ▸ 1 more", "140.2 MiB"),
                (" ├─○ old-kernel", "96 MiB", "2 d ago"),
                (" ○ installed", "284 MiB"),
                (" ○ image", "612 MiB"),
            )
        ):
            for part in parts:
                assert part in rows[row + 2], rows[row + 2]
        assert "❄" not in rows[5]


async def test_the_selected_layer_is_told_in_full() -> None:
    async with in_history(library(), "before-nginx") as (app, _, __):
        text = shown(app)
        for part in ("before-nginx", "28 h ago", "disks and memory", "140.2 MiB", "nginx-works",
                     "No picture was taken."):  # fmt: skip
            assert part in text, part


async def test_the_picture_of_a_layer_is_drawn(tmp_path: Path) -> None:
    station = library()
    station.past.pasts["sales-demo"] = [
        a_layer(1, "good", picture=screen_of_a_guest(tmp_path), head=True),
        a_layer(2, "broken", 1, picture=tmp_path / "not-there.ppm"),
    ]
    async with in_history(station, "good") as (app, pilot, screen):
        await until(pilot, lambda: "▀▀▀▀" in shown(app))
        await go(pilot, screen, "broken")
        await until(pilot, lambda: "The picture cannot be read." in shown(app))
        assert "▀▀▀▀" not in shown(app)


async def test_nothing_is_said_of_a_picture_before_its_layer_is_known() -> None:
    class Pane(App[None]):
        def compose(self) -> ComposeResult:
            yield ScreenPicture()

    async with Pane().run_test() as pilot:
        await until(pilot, lambda: pilot.app.query_one(ScreenPicture).drawn)
        assert not shown(pilot.app).strip()


async def test_a_narrow_pane_keeps_tree_and_name() -> None:
    async with in_history(library()) as (app, pilot, _):
        await pilot.resize_terminal(60, 18)
        await until(pilot, lambda: " ├─○ old-k" in shown(app))
        assert " ◆ golden" in shown(app)


@pytest.mark.parametrize(
    ("keys", "calls"),
    [
        (["left", "enter"], [("revert", "sales-demo", "installed", "discard")]),
        (
            ["enter"],
            [
                ("snapshot", "sales-demo", "before-installed", "before going back to installed",
                 "memory"),
                ("revert", "sales-demo", "installed", "discard"),
            ],
        ),
        (["escape"], []),
    ],
    ids=["drop", "keep", "cancel"],
)  # fmt: skip
async def test_revert_says_what_is_lost_and_offers_to_keep_it(
    keys: list[str], calls: list[tuple[str, ...]]
) -> None:
    station = library()
    async with in_history(station, "installed") as (app, pilot, screen):
        await pilot.press("enter")
        text = await dialog(app, pilot, Choose)
        assert "84 MiB written since the last snapshot" in text
        assert "memory would be lost" in " ".join(text.replace("│", " ").split())
        await pilot.press(*keys)
        await until(pilot, lambda: app.screen is screen)
        await until(pilot, lambda: len(station.calls) == len(calls))
        await until(pilot, lambda: not app.is_busy("history-revert", machine="sales-demo"))
        assert station.calls == calls


async def test_a_revert_that_loses_nothing_asks_nothing() -> None:
    station = library()
    station.change("sales-demo", state=State.OFF)
    station.past.unsaved["sales-demo"] = 0
    async with in_history(station, "installed") as (_, pilot, __):
        await pilot.press("v")
        await until(pilot, lambda: station.calls)
        assert station.calls == [("revert", "sales-demo", "installed", "discard")]


async def test_a_snapshot_that_cannot_be_taken_keeps_the_machine_where_it_is() -> None:
    station = library()
    station.fails["snapshot"] = HostError("the disk is full")
    async with in_history(station, "installed") as (app, pilot, _):
        await pilot.press("enter")
        await dialog(app, pilot, Choose)
        await pilot.press("enter")
        await dialog(app, pilot, ErrorDialog)
        assert [call[0] for call in station.calls] == ["snapshot"]


async def test_branch_here() -> None:
    station = library()
    async with in_history(station, "before-nginx") as (app, pilot, screen):
        await pilot.press("b")
        assert "begins at “before-nginx”" in await dialog(app, pilot, NameDialog)
        await pilot.press("enter")
        await until(pilot, lambda: station.calls)
        assert station.calls == [("clone", "sales-demo", "sales-demo-2", "before-nginx")]
        await until(pilot, lambda: app.screen is screen)


async def test_rename() -> None:
    station = library()
    async with in_history(station, "before-nginx") as (app, pilot, screen):
        await pilot.press("e")
        await dialog(app, pilot, NameDialog)
        app.screen.query_one("#name", Input).value = "golden"
        await until(pilot, lambda: "already" in shown(app))
        app.screen.query_one("#name", Input).value = "better"
        await pilot.press("enter")
        await until(pilot, lambda: screen.tag == "better")
        assert station.calls == [("rename", "sales-demo", "before-nginx", "better")]


async def test_golden_is_moved() -> None:
    station = library()
    async with in_history(station, "golden") as (app, pilot, screen):
        await pilot.press("g")
        await go(pilot, screen, "installed")
        await pilot.press("g")
        await until(pilot, lambda: "◆ installed" in shown(app))
        assert "○ golden" in shown(app)
        assert station.calls == [("golden", "sales-demo", "installed")]


async def test_now_can_be_made_golden_snapshot_and_branched() -> None:
    station = library()
    async with in_history(station) as (app, pilot, screen):
        assert screen.entry is None
        assert "Revert" not in shown(app).splitlines()[-1]
        await pilot.press("enter", "d", "e", "s")
        assert app.screen is screen
        await pilot.press("t")
        await dialog(app, pilot, SnapshotDialog)
        await pilot.press("enter")
        await until(pilot, lambda: "○ snap-1" in shown(app))
        await pilot.press("g")
        await until(
            pilot, lambda: station.calls[-1][:1] == ("snapshot",) and len(station.calls) > 2
        )
        assert ("golden", "sales-demo", "") in station.calls


@pytest.mark.parametrize(
    ("tag", "told"),
    [
        ("nginx-works", ["148.9 MiB come back"]),
        ("before-nginx", ["No room comes back yet", "stands on it: nginx-works."]),
        ("installed", ["stands on it: golden, before-nginx, old-kernel, another machine."]),
        ("golden", ["the machine as it is now", "It is the golden moment"]),
    ],
)
async def test_delete_says_what_goes_and_what_comes_back(tag: str, told: list[str]) -> None:
    station = library()
    async with in_history(station, tag) as (app, pilot, _):
        await pilot.press("d")
        text = " ".join((await dialog(app, pilot, Confirm)).replace("│", " ").split())
        for words in told:
            assert words in text
        await pilot.press("enter")
        assert station.calls == []


async def test_delete_deletes() -> None:
    station = library()
    async with in_history(station, "nginx-works") as (app, pilot, screen):
        await pilot.press("delete")
        await dialog(app, pilot, Confirm)
        await pilot.press("right", "enter")
        await until(pilot, lambda: "nginx-works: deleted" in shown(app))
        assert station.calls == [("forget", "sales-demo", "nginx-works")]
        await until(pilot, lambda: screen.rows.count == 6)


async def test_squash_is_there_where_something_stands_on_the_layer() -> None:
    station = library()
    async with in_history(station, "nginx-works") as (app, pilot, screen):
        assert "s Squash" not in shown(app).splitlines()[-1]
        await pilot.press("s")
        await go(pilot, screen, "before-nginx")
        await pilot.press("s")
        assert "merged into nginx-works" in await dialog(app, pilot, Confirm)
        await pilot.press("right", "enter")
        await until(pilot, lambda: station.calls)
        assert station.calls == [("squash", "sales-demo", "before-nginx")]
        await until(pilot, lambda: "├─○ nginx-works" in shown(app))


async def test_what_is_refused_is_explained() -> None:
    station = library()
    station.fails["squash"] = NotAllowedError("“two” stands on that layer too")
    async with in_history(station, "installed") as (app, pilot, _):
        await pilot.press("s")
        await dialog(app, pilot, Confirm)
        await pilot.press("right", "enter")
        assert "“two” stands on that layer too" in await dialog(app, pilot, ErrorDialog)


async def test_the_history_follows_what_others_do() -> None:
    station = library()
    async with in_history(station, "before-nginx") as (app, pilot, screen):
        await station.layers.snapshot("sales-demo", "from-elsewhere")
        await until(pilot, lambda: "from-elsewhere" in shown(app))
        assert screen.tag == "before-nginx"
        station.change("sales-demo", state=State.OFF)
        await until(pilot, lambda: "○ off" in shown(app))
        station.publish(Activity(3, "squash sales-demo golden", 1, 2, "B"))
        await until(pilot, lambda: "squash sales-demo golden" in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: station.calls[-1] == ("cancel", "3"))


async def test_the_history_of_a_machine_that_is_deleted_closes() -> None:
    station = library()
    station.change("sales-demo", state=State.OFF)
    async with in_history(station) as (app, pilot, _):
        await station.delete("sales-demo")
        await closed(app, pilot)


@pytest.mark.parametrize("key", ["escape", "h"])
async def test_back(key: str) -> None:
    station = library()
    async with in_history(station) as (app, pilot, _):
        await pilot.press(key)
        await closed(app, pilot)
        feeds = [one for one in station._callbacks if one.__qualname__.startswith("Feed.")]
        assert len(feeds) == 1


async def test_a_machine_without_snapshots_has_a_history_too() -> None:
    async with in_history(library(), name="fresh") as (app, _, __):
        assert "● now" in shown(app)
        assert "blank drives" in shown(app)


async def test_help_and_palette_are_of_the_history() -> None:
    async with in_history(library(), "golden") as (app, pilot, screen):
        await pilot.press("question_mark")
        text = await dialog(app, pilot, HelpDialog)
        assert "The layers that the machine stands on" in text
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Revert  (enter)" in shown(app))


def test_every_history_command_is_defined_whole() -> None:
    keys: list[str] = []
    for name, command in COMMANDS.items():
        assert command.id == name
        assert command.label
        assert command.help().endswith(".")
        keys += command.keys.split(",") if command.keys else []
    assert len(keys) == len(set(keys))


async def test_a_stranger_s_layer_is_shown_and_never_obeyed() -> None:
    station = library()
    station.past.pasts["sales-demo"] = [a_layer(7, "x", head=True, note=HOSTILE)]
    async with in_history(station, "x") as (app, pilot, _):
        await until(pilot, lambda: "[@click=app.quit]g[/]" in shown(app))
        assert_harmless(app.export_screenshot(), shown(app))

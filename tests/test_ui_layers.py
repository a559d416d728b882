"""Snapshots, going back, branches: the commands, their dialogs and the history screen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Checkbox, Input

from tests.fakes import (
    FakeWorkstation,
    a_layer,
    library,
    opened,
    overcommitted,
    screen_of_a_guest,
    shown,
    until,
)
from tests.test_ui_library import HOSTILE, assert_harmless
from workstation.errors import HostError, InvalidError, NotAllowedError
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

Opened = tuple[WorkstationApp, Pilot[None]]


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


# -- snapshot -------------------------------------------------------------------


async def test_a_snapshot_is_two_keys() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("t")
        assert "stands still for milliseconds" in await dialog(app, pilot, SnapshotDialog)
        await pilot.press("enter")
        await until(pilot, lambda: "snapshot snap-1 taken" in shown(app))
        assert station.calls == [("snapshot", "sales-demo", "snap-1", "", "memory")]


async def test_a_snapshot_has_a_name_a_note_and_memory_or_not() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("t")
        await dialog(app, pilot, SnapshotDialog)
        await pilot.press(*"mine", "tab", *"a note", "tab", "space", "tab", "tab", "enter")
        await until(pilot, lambda: station.calls)
        assert station.calls == [("snapshot", "sales-demo", "mine", "a note", "disks")]


async def test_a_guest_that_does_not_run_has_no_memory_to_keep() -> None:
    station = library()
    async with on(station, "debian-12") as (app, pilot):
        await pilot.press("t")
        assert "frozen as they are now" in await dialog(app, pilot, SnapshotDialog)
        assert not app.screen.query(Checkbox)
        await pilot.press("escape")
        await closed(app, pilot)
        assert station.calls == []


async def test_a_snapshot_s_name_is_free_and_checked() -> None:
    station = library()
    station.past.pasts["sales-demo"].append(a_layer(9, "snap-1", 3))
    async with on(station) as (app, pilot):
        await pilot.press("t")
        await dialog(app, pilot, SnapshotDialog)
        name = app.screen.query_one("#name", Input)
        assert name.value == "snap-2"
        for wrong, told in (
            ("golden", "already"),
            ("a b", "Letters, digits"),
            ("", "needs a name"),
        ):
            name.value = wrong
            await pilot.pause()
            assert told in shown(app)
            assert app.screen.query_one("#yes", Button).disabled
            await pilot.press("enter")
        assert station.calls == []


async def test_a_snapshot_that_fails_says_why() -> None:
    station = library()
    station.fails["snapshot"] = HostError("this needs 4 GiB on the disk", hint="make room")
    async with on(station) as (app, pilot):
        await pilot.press("t")
        await dialog(app, pilot, SnapshotDialog)
        await pilot.press("enter")
        assert "This needs 4 GiB" in await dialog(app, pilot, ErrorDialog)


# -- golden, suspend, resume ------------------------------------------------------


async def test_one_key_brings_the_demo_back() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: station.calls)
        assert station.calls == [("reset-demo", "sales-demo")]
        assert app.screen is app.library


async def test_without_a_golden_moment_reset_offers_to_make_one() -> None:
    station = library()
    async with on(station, "crm") as (app, pilot):
        await pilot.press("r")
        assert "no golden moment yet" in await dialog(app, pilot, Choose)
        await pilot.press("escape")
        await closed(app, pilot)
        assert station.calls == []
        await pilot.press("r")
        await dialog(app, pilot, Choose)
        await pilot.press("enter")
        await until(pilot, lambda: "golden is golden" in shown(app))
        assert station.calls[0] == ("golden", "crm", "")


async def test_golden_is_in_the_palette() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Reset demo  (r)" in shown(app))
        await pilot.press(*"make now golden")
        await until(pilot, lambda: "Freeze the machine as it is now, as the" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: station.calls)
        assert station.calls[0] == ("golden", "sales-demo", "")


async def test_suspend_and_resume() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("z")
        await until(pilot, lambda: station.machines["sales-demo"].state is State.FROZEN)
        await until(pilot, lambda: "s Resume" in shown(app).splitlines()[-1])
        assert "B Boot cold" in shown(app).splitlines()[-1]
        await pilot.press("s")
        await until(pilot, lambda: station.machines["sales-demo"].state is State.RUNNING)
        assert station.calls == [("suspend", "sales-demo"), ("start", "sales-demo")]
        assert "Resume" not in shown(app).splitlines()[-1]


async def test_a_cold_boot_asks_first_for_the_memory_is_lost() -> None:
    station = library()
    async with on(station, "crm") as (app, pilot):
        await pilot.press("B")
        assert "memory is lost" in await dialog(app, pilot, Confirm)
        await pilot.press("right", "enter")
        await until(pilot, lambda: station.calls)
        assert station.calls == [("start", "crm", "cold")]
    async with on(library(), "debian-12") as (app, pilot):
        await pilot.press("B")
        assert app.screen is app.library


async def test_a_resume_that_cannot_be_offers_the_cold_boot() -> None:
    station = library()
    station.fails["start"] = HostError(
        "“crm” cannot go on from its memory: it ran under kvm",
        hint="boot its disks of that moment instead: workstation start crm --cold",
    )
    async with on(station, "crm") as (app, pilot):
        await pilot.press("s")
        assert "it ran under kvm" in await dialog(app, pilot, Confirm)
        assert "workstation start" not in shown(app)
        del station.fails["start"]
        await pilot.press("right", "enter")
        await until(pilot, lambda: station.machines["crm"].state is State.RUNNING)
        assert station.calls[-1] == ("start", "crm", "cold")


async def test_a_cold_boot_may_be_overcommitted_too() -> None:
    station = library()
    station.fails["overcommit"] = overcommitted("crm")
    async with on(station, "crm") as (app, pilot):
        await pilot.press("B")
        await dialog(app, pilot, Confirm)
        await pilot.press("right", "enter")
        await until(pilot, lambda: "2.1 GiB" in shown(app))
        await pilot.press("right", "enter")
        await until(pilot, lambda: len(station.calls) == 2)
        assert station.calls[-1] == ("start", "crm", "force", "cold")


async def test_all_are_suspended_and_resumed_and_one_failure_stops_no_other() -> None:
    station = library()
    station.change("debian-12", state=State.RUNNING)
    async with on(station) as (app, pilot):
        app.library.action_command("suspend-all")
        await until(pilot, lambda: len(station.calls) == 2)
        await until(pilot, lambda: not app.is_busy("suspend-all", machine="sales-demo"))
        frozen = [name for name, view in station.machines.items() if view.state is State.FROZEN]
        assert frozen == ["crm", "debian-12", "sales-demo"]
        station.fails["start"] = HostError("no QEMU")
        station.calls.clear()
        app.library.action_command("resume-all")
        text = await dialog(app, pilot, ErrorDialog)
        assert "3 of 3 machines stay as they were" in text
        assert len(station.calls) == 3
        await pilot.press("d")
        await until(pilot, lambda: "crm: no QEMU" in shown(app))


async def test_branch_makes_a_second_machine_and_goes_to_it() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("b")
        text = await dialog(app, pilot, NameDialog)
        assert "network off" in text
        assert app.screen.query_one("#name", Input).value == "sales-demo-2"
        await pilot.press(*"crm", "enter")
        await until(pilot, lambda: "already" in shown(app))
        await pilot.press(*"-new", "enter")
        await until(pilot, lambda: app.library.view and app.library.view.name == "crm-new")
        assert station.calls == [("clone", "sales-demo", "crm-new", "")]


async def test_a_branch_of_a_machine_that_is_off_boots() -> None:
    async with on(library(), "debian-12") as (app, pilot):
        await pilot.press("b")
        text = await dialog(app, pilot, NameDialog)
        assert "boots from these disks" in text
        assert "network" not in text.split("╭")[1]


# -- the line in the details -------------------------------------------------------


async def test_details_tell_the_history_in_a_line() -> None:
    station = library()
    async with on(station) as (app, pilot):
        line = "◆ golden ── ● now  (2 h, 84 MiB since golden)"
        await until(pilot, lambda: line in shown(app))
        station.past.unsaved["sales-demo"] = 90 * 2**20
        app.library.call_later(app.library.tick_of_layers)
        await until(pilot, lambda: "90 MiB since golden" in shown(app))
        await station.layers.snapshot("sales-demo", "later")
        await until(pilot, lambda: "○ later ── ● now" in shown(app))


async def test_a_history_that_cannot_be_read_says_so() -> None:
    station = library()
    station.fails["history"] = InvalidError("the history of “sales-demo” cannot be read")
    async with on(station) as (app, pilot):
        await until(pilot, lambda: "the history of “sales-demo” cannot be" in shown(app))
        await pilot.press("h")
        await until(
            pilot, lambda: "problem" in shown(app) and isinstance(app.screen, HistoryScreen)
        )
        await pilot.press("enter", "g", "d", "b")
        assert isinstance(app.screen, HistoryScreen)


# -- the history screen -------------------------------------------------------------


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
    """Put the cursor on a snapshot, from the top down."""
    await pilot.press("home")
    for _ in range(screen.rows.count):
        if screen.tag == tag:
            break
        await pilot.press("down")
    assert screen.tag == tag


async def test_the_history_is_a_tree_with_the_newest_on_top() -> None:
    async with in_history(library()) as (app, _, screen):
        rows = [line[: screen.rows.size.width].rstrip() for line in shown(app).splitlines()]
        for row, parts in enumerate(
            (
                ("● now", "84 MiB not in a snapshot"),
                (" ◆ golden", "❄ 131.4 MiB", "2 h ago"),
                (" │ ○ nginx-works", "❄ 148.9 MiB", "27 h ago"),
                (" ├─○ before-nginx", "140.2 MiB"),
                (" ├─○ old-kernel", "96 MiB", "2 d ago"),
                (" ○ installed", "284 MiB"),
                (" ○ image", "612 MiB"),
            )
        ):
            for part in parts:
                assert part in rows[row + 2], rows[row + 2]
        assert "❄" not in rows[6]


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
        assert len(station._callbacks) == 1


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


async def test_the_theme_is_kept() -> None:
    station = library()
    station.settings = station.settings.model_copy(update={"theme": "workstation-light"})
    async with on(station) as (app, pilot):
        assert app.theme == "workstation-light"
        assert station.calls == []
        app.theme = "nord"
        await until(pilot, lambda: station.calls)
        assert station.calls == [("theme", "nord")]


async def test_two_presses_snapshot_once() -> None:
    station = library()
    station.hold["snapshot"] = asyncio.Event()
    async with on(station) as (app, pilot):
        await pilot.press("t")
        await dialog(app, pilot, SnapshotDialog)
        await pilot.press("enter")
        await until(pilot, lambda: station.calls)
        await pilot.press("t")
        await pilot.pause()
        assert app.screen is app.library
        station.hold["snapshot"].set()
        await until(pilot, lambda: "snap-1 taken" in shown(app))

"""Snapshots, golden moments, suspend, branches: the commands and their dialogs."""

import asyncio

from textual import events
from textual.widgets import Button, Checkbox, Input

from tests.fakes.driving import closed, dialog, on, shown, until
from tests.fakes.layers import a_layer
from tests.fakes.machines import library, overcommitted
from workstation.errors import HostError, InvalidError
from workstation.model.machine import State
from workstation.ui.dialogs.choose import Choose
from workstation.ui.dialogs.confirm import Confirm
from workstation.ui.dialogs.error import ErrorDialog
from workstation.ui.dialogs.name import NameDialog
from workstation.ui.dialogs.snapshot import SnapshotDialog
from workstation.ui.history import HistoryScreen

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


async def test_what_is_typed_in_a_burst_lands_where_tab_leads() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("t")
        await dialog(app, pilot, SnapshotDialog)
        for key in ("m", "tab", "n", "shift+tab", "e"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: app.screen.query_one("#name", Input).value == "e")
        assert app.screen.query_one("#note", Input).value == "n"


async def test_backspace_in_a_burst_takes_away_what_was_typed_before_it() -> None:
    async with on(library()) as (app, pilot):
        await pilot.press("t")
        await dialog(app, pilot, SnapshotDialog)
        name = (*"demx", "backspace", "o", "home", "x", "ctrl+k", *"new", "left", "e", "end")
        for key in (*name, "left", "delete", "tab", *"notw", "backspace", "e"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: app.screen.query_one("#note", Input).value == "note")
        assert app.screen.query_one("#name", Input).value == "xnee"


async def test_enter_pressed_twice_in_one_go_takes_one_snapshot_and_no_screen_away() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await pilot.press("t")
        await dialog(app, pilot, SnapshotDialog)
        for _ in range(3):
            app.simulate_key("enter")
        await until(pilot, lambda: station.calls)
        assert station.calls == [("snapshot", "sales-demo", "snap-1", "", "memory")]
        assert isinstance(app.screen, HistoryScreen)


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

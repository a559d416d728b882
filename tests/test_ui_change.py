"""The dialog that changes a machine: what is typed is checked, what it does is said, then done."""

from textual.widgets import Button

from tests.fakes.driving import opened, shown, until
from tests.fakes.machines import library
from workstation.errors import MonitorError
from workstation.ui.dialogs.change import ChangeDialog
from workstation.ui.dialogs.error import ErrorDialog


async def test_settings_are_checked_as_they_are_typed_and_then_carried_out() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        app.library.go_to("sales-demo")
        await pilot.press("C")
        await until(pilot, lambda: isinstance(app.screen, ChangeDialog))
        yes = app.screen.query_one("#yes", Button)
        await until(pilot, lambda: "usb[0]=046d:c52b (Logitech Receiver)" in shown(app))
        for text, said in (
            ("memroy=1", "unknown key"),
            ("notes='a b", "a quote is open"),
            ("memory", "is not key=value"),
            ("drives[1].size=10 GiB cpu.cores='3'", "cpu.cores = 3: now"),
        ):
            app.screen.box.value = text  # type: ignore[attr-defined]
            await until(pilot, lambda said=said: said in shown(app))  # type: ignore[misc]
            assert yes.disabled == (said != "cpu.cores = 3: now")
        await pilot.press("enter")
        await until(pilot, lambda: station.calls)
        assert station.calls == [("set", "sales-demo", "drives[1].size=10 GiB", "cpu.cores=3")]
        await until(pilot, lambda: "cpu.cores = 3: now" in shown(app))


async def test_what_is_refused_is_said_and_escape_changes_nothing() -> None:
    station = library()
    station.fails["set"] = MonitorError("no room in the machine")
    async with opened(station, (80, 24)) as (app, pilot):
        app.library.go_to("sales-demo")
        await pilot.press("C")
        await until(pilot, lambda: isinstance(app.screen, ChangeDialog))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ChangeDialog))
        assert station.calls == []
        app.library.action_command("change")
        await until(pilot, lambda: isinstance(app.screen, ChangeDialog))
        app.screen.box.value = "memory='2 GiB'"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog))
        assert "no room in the machine" in shown(app).lower()

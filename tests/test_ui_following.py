"""The library follows what happens: events, figures, output, long work."""

from dataclasses import replace

from tests.fakes.driving import opened, shown, until
from tests.fakes.machines import SERIAL, library, many
from tests.fakes.profiles import PROFILES
from workstation.model.events import Activity, MachineChanged, MachineRemoved, Severity
from workstation.model.machine import MachineView, State
from workstation.ui.feed import Batch


async def test_rows_come_change_and_go_with_the_events() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        station.publish(MachineChanged(MachineView("zebra", State.RUNNING, PROFILES["appliance"])))
        await until(pilot, lambda: "zebra" in shown(app))
        station.change("zebra", state=State.PAUSED)
        await until(pilot, lambda: "⏸ zebra" in shown(app))
        station.publish(MachineRemoved("zebra"))
        await until(pilot, lambda: "zebra" not in shown(app))


async def test_the_cursor_stays_on_its_machine_when_others_come_and_go() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        app.library.go_to("lab-1")
        station.publish(MachineChanged(MachineView("aaa", State.OFF, PROFILES["appliance"])))
        station.publish(MachineRemoved("crm"))
        await until(pilot, lambda: "aaa" in shown(app))
        assert app.library.view is station.machines["lab-1"]


async def test_a_burst_is_shown_as_its_end_in_few_batches() -> None:
    station = many(200, 50)
    async with opened(station) as (app, pilot):
        delivered: list[int] = []
        take = app.library._take

        def counted(batch: Batch) -> None:
            delivered.append(len(batch.changed))
            take(batch)

        app.library._take = counted  # type: ignore[method-assign]
        for number in range(100):
            for machine in range(50):
                state = State.PAUSED if number % 2 else State.RUNNING
                station.change(f"machine-{machine:03}", state=state)
        await until(pilot, lambda: "⏸ machine-005" in shown(app))
        assert sum(delivered) <= 100
        assert len(delivered) <= 2


async def test_two_hundred_machines_scroll() -> None:
    async with opened(many(200, 50)) as (app, pilot):
        await pilot.press("end")
        await until(pilot, lambda: "machine-199" in shown(app))
        assert app.library.view is not None
        assert app.library.view.name == "machine-199"
        await pilot.press("home", "pagedown", "down", "j", "k", "up")
        await pilot.pause()
        page = app.library.machines.size.height - 1
        assert app.library.view.name == f"machine-{page:03}"


async def test_a_crash_that_nobody_asked_for_is_told() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        station.change("sales-demo", state=State.CRASHED, reason="killed by signal 9")
        await until(pilot, lambda: "sales-demo crashed" in shown(app))
        assert "killed by signal 9" in shown(app)


async def test_a_warning_about_a_machine_is_told_once() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        for _ in range(2):
            station.say("host port 8080 was taken: 8081:80 instead", "lab-1", Severity.WARNING)
            await until(pilot, lambda: "host port 8080 was taken" in shown(app))
        assert len(app._notifications) == 1


async def test_output_and_figures_follow_the_machine() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        app.library.go_to("sales-demo")
        station.serial["sales-demo"] = SERIAL + b"\r\nhello from the guest"
        app.library.call_later(app.library.tick)
        await until(pilot, lambda: "hello from the guest" in shown(app))


async def test_only_the_selected_machine_s_disks_are_measured() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        await until(pilot, lambda: station.focused == "build-box")
        app.library.go_to("sales-demo")
        await until(pilot, lambda: station.focused == "sales-demo")


async def test_work_is_shown_with_progress_rate_and_time_left_and_then_gone() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        work = Activity(1, "export sales-demo → STICK", 64e8, 1e10, "B", 2e8)
        station.publish(work)
        await until(pilot, lambda: "export sales-demo" in shown(app))
        line = next(row for row in shown(app).splitlines() if "export sales-demo" in row)
        for part in ("64 %", "190.7 MiB/s", "18 s left", "x cancel", "█", "░"):
            assert part in line
        column = line.index("x cancel")
        await pilot.click(offset=(column + 3, shown(app).splitlines().index(line)))
        await until(pilot, lambda: station.calls)
        assert station.calls == [("cancel", "1")]
        station.publish(replace(work, finished=True))
        await until(pilot, lambda: "export sales-demo" not in shown(app))


async def test_more_work_than_there_is_room_for_is_counted() -> None:
    station = library()
    for number in range(6):
        station.publish(Activity(number, f"start m{number}", cancellable=False))
    async with opened(station) as (app, _):
        assert "start m2" in shown(app)
        assert "and 3 more" in shown(app)
        assert "cancel" not in shown(app)

"""The library screen: what it shows, and how it follows what happens."""

import asyncio
from dataclasses import replace

from textual.widgets import Input

from tests.fakes.driving import app_on, opened, settled, shown, until
from tests.fakes.layers import NOW
from tests.fakes.machines import SERIAL, library, many, samples_of
from tests.fakes.profiles import PROFILES
from tests.fakes.workstation import FakeWorkstation
from workstation.errors import HostError
from workstation.model.events import Activity, MachineChanged, MachineRemoved, Sampled, Severity
from workstation.model.host import Finding, HostFacts, Level
from workstation.model.machine import MachineView, State
from workstation.ui.commands import COMMANDS
from workstation.ui.dialogs.error import ErrorDialog
from workstation.ui.feed import Batch
from workstation.ui.looks import LOOKS
from workstation.ui.new.dialog import NewDialog
from workstation.ui.widgets.filter_box import FilterBox

HOSTILE = "a\x1b]52;c;ZXZpbA==\x07b\x1b[31mc\x9b2Jd\u202ee\u2066f [@click=app.quit]g[/]"
HOSTILE += " [bold]h\r\n\x00i\ud800j"


async def test_the_first_frame_does_not_wait_for_the_machines() -> None:
    station = library()
    station.entering.clear()
    app = app_on(station)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "Looking for machines" in shown(app))
        assert not station.entered
        station.entering.set()
        await settled(pilot)
        assert "sales-demo" in shown(app)


async def test_what_is_asked_for_before_the_machines_are_found_comes_when_they_are() -> None:
    station = library()
    station.entering.clear()
    app = app_on(station)
    async with app.run_test(size=(100, 30)) as pilot:
        # No machine is seen yet: to stop, and to delete, is meant for none.
        await pilot.press("n", "D", "S", "d")
        await until(pilot, lambda: "Looking for machines… Then comes: New" in shown(app))
        station.entering.set()
        await until(pilot, lambda: isinstance(app.screen, NewDialog))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.library)
        assert "sales-demo" in shown(app)
    assert not station.calls


async def test_leaving_while_the_machines_are_looked_for() -> None:
    station = library()
    station.entering.clear()
    app = app_on(station)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app._holding)
        await pilot.press("q")
        await until(pilot, lambda: app._exit)


async def test_a_workstation_that_cannot_be_entered_is_told_before_the_end() -> None:
    class Broken(FakeWorkstation):
        async def __aenter__(self) -> "Broken":
            raise HostError("the directory belongs to another user", hint="set XDG_RUNTIME_DIR")

    app = app_on(Broken())
    async with app.run_test() as pilot:
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog))
        assert "Set XDG_RUNTIME_DIR" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: app._exit)


async def test_every_state_has_its_glyph_and_its_word() -> None:
    async with opened(library()) as (app, _):
        rows = shown(app).splitlines()
        for name, word in (
            ("sales-demo", "running"), ("build-box", "paused"), ("crm", "frozen"),
            ("debian-12", "off"), ("lab-1", "starting"), ("lab-2", "stopping"),
            ("win11", "crashed"), ("fresh", "created"),
        ):  # fmt: skip
            glyph = LOOKS[word].glyph
            assert any(f"{glyph} {name}" in row and word in row for row in rows), name
        assert any("⚠ typo" in row and "problem" in row for row in rows)
        assert any("! kernel-lab" in row and "panic" in row for row in rows)


def test_every_state_has_a_look() -> None:
    assert set(LOOKS) == {state.value for state in State}


async def test_the_header_says_what_the_host_has() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        header = shown(app).splitlines()[0]
        assert "KVM ● hardware" in header
        assert "1 running" in header
        assert "of 24 GiB" in header
        assert "80 GiB free" in header
        sample = replace(samples_of(1)[-1], resident=3 * 2**30)
        station.publish(Sampled({"sales-demo": sample}))
        app.library.call_later(app.library.tick)
        await until(pilot, lambda: "3 of 24 GiB" in shown(app))


async def test_without_kvm_the_header_says_slow() -> None:
    station = library()
    station.facts = HostFacts(qemu="/usr/bin/qemu-system-x86_64", memory=2**34)
    async with opened(station) as (app, _):
        assert "TCG ◌ emulated, slow" in shown(app)


async def test_without_qemu_a_banner_says_what_to_do() -> None:
    station = FakeWorkstation()
    station.facts = HostFacts(memory=2**34)
    station.doctor = [
        Finding("QEMU", Level.PROBLEM, "QEMU is not installed", "apt install qemu-system-x86")
    ]
    async with opened(station) as (app, _):
        assert "QEMU is not installed: apt install qemu-system-x86" in shown(app)


async def test_details_show_how_to_reach_the_machine_and_what_it_said() -> None:
    async with opened(library()) as (app, pilot):
        app.library.go_to("sales-demo")
        await pilot.pause()
        text = shown(app)
        for part in ("http://127.0.0.1:8080  →  80", "● running  00:12:31", "eth0: 10.0.2.15",
                     "The appliance with its web page", "1 CPU · 128 MiB", "#demo #web",
                     "CPU", "RAM", "of 128 MiB", "read", "write"):  # fmt: skip
            assert part in text, part


async def test_details_say_what_needs_attention() -> None:
    async with opened(library()) as (app, pilot):
        for name, told in (
            ("win11", "QEMU was killed (signal 9)"),
            ("typo", "did you mean “memory”"),
            ("shared", "start by workstation start (pid 4242) since"),
            ("kernel-lab", "the guest has reported a panic"),
        ):
            app.library.go_to(name)
            await pilot.pause()
            assert told in shown(app)


async def test_no_network_counters_are_invented() -> None:
    async with opened(library()) as (app, pilot):
        app.library.go_to("sales-demo")
        await pilot.pause()
        assert " net " not in shown(app)


async def test_the_footer_offers_only_what_can_be_done_now() -> None:
    station = library()
    async with opened(station, (160, 30)) as (app, pilot):
        app.library.go_to("sales-demo")
        await pilot.pause()
        footer = shown(app).splitlines()[-1]
        assert "S Stop" in footer
        assert "p Pause" in footer
        assert "s Start" not in footer
        assert footer.rstrip().endswith("? Help  q Quit")
        station.change("sales-demo", state=State.OFF)
        await until(pilot, lambda: "s Start" in shown(app).splitlines()[-1])
        footer = shown(app).splitlines()[-1]
        assert "d Delete" in footer
        assert "Console" not in footer


async def test_the_footer_can_be_clicked() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        app.library.go_to("debian-12")
        await pilot.pause()
        column = shown(app).splitlines()[-1].index("s Start")
        await pilot.click(offset=(column + 3, 29))
        await until(pilot, lambda: station.calls)
        assert station.calls == [("start", "debian-12")]


async def test_the_footer_explains_what_the_mouse_is_on() -> None:
    async with opened(library()) as (app, pilot):
        app.library.go_to("debian-12")
        await pilot.pause()
        column = shown(app).splitlines()[-1].index("s Start")
        await pilot.hover(offset=(column + 3, 29))
        await until(pilot, lambda: app.library.footer.tooltip is not None)
        assert str(app.library.footer.tooltip) == COMMANDS["start"].help()


async def test_the_mouse_selects_and_a_double_click_starts() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        row = next(i for i, line in enumerate(shown(app).splitlines()) if "debian-12" in line)
        await pilot.click(offset=(5, row))
        await pilot.pause()
        assert app.library.view is station.machines["debian-12"]
        assert station.calls == []
        await pilot.click(offset=(5, row), times=2)
        await until(pilot, lambda: station.calls)
        assert station.calls == [("start", "debian-12")]


# -- following ----------------------------------------------------------------


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


# -- the first run ------------------------------------------------------------


async def test_an_empty_library_says_how_to_begin_and_enter_makes_the_demo() -> None:
    station = FakeWorkstation()
    station.hold["demo"] = asyncio.Event()
    async with opened(station) as (app, pilot):
        assert "No machines yet" in shown(app)
        assert "enter Start the demo" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: "Making the demo" in shown(app))
        station.hold["demo"].set()
        await until(pilot, lambda: "● sales-demo" in shown(app))
        assert app.library.view is station.machines["sales-demo"]


async def test_a_small_terminal_says_how_to_begin_in_whole_lines() -> None:
    station = FakeWorkstation()
    async with opened(station, size=(60, 18)) as (app, pilot):
        assert "makes the demo and starts it:" in shown(app)
        assert "MACHINES" not in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: "● sales-demo" in shown(app))
        await pilot.press("h")
        await until(pilot, lambda: "History of" in shown(app))


async def test_escape_takes_notices_away() -> None:
    async with opened(library()) as (app, pilot):
        app.library.tell("something is done")
        await until(pilot, lambda: "something is done" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: "something is done" not in shown(app))


async def test_a_demo_that_failed_leaves_the_way_to_begin() -> None:
    station = FakeWorkstation()
    station.fails["demo"] = HostError("there is no apt here", hint="use an image of your own")
    async with opened(station) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog))
        await pilot.press("escape")
        await until(pilot, lambda: "No machines yet" in shown(app))


# -- the filter ---------------------------------------------------------------


async def test_the_filter_narrows_as_it_is_typed() -> None:
    async with opened(library()) as (app, pilot):
        await pilot.press("slash", *"lab")
        await until(pilot, lambda: "3 of 11" in shown(app))
        assert "win11" not in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.focused is app.library.machines)
        assert "3 of 11" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: "win11" in shown(app))
        assert not app.library.query(FilterBox)


async def test_the_filter_finds_states_and_tags() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(app.focused, Input))
        for text, name in (("crashed", "win11"), ("web", "sales-demo"), ("problem", "typo")):
            app.library.query_one(FilterBox).value = text
            await until(pilot, lambda: app.library.machines.count == 1)
            assert app.library.view is station.machines[name]


async def test_a_filter_without_a_match_says_so() -> None:
    async with opened(library()) as (app, pilot):
        await pilot.press("slash", *"zzz")
        await until(pilot, lambda: "No machine matches" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: "sales-demo" in shown(app))


async def test_a_machine_that_is_gone_to_is_shown_despite_the_filter() -> None:
    async with opened(library()) as (app, pilot):
        await pilot.press("slash", *"lab", "enter")
        app.library.go_to("win11")
        await until(pilot, lambda: app.library.view and app.library.view.name == "win11")


# -- strangers' text ----------------------------------------------------------


async def test_hostile_text_is_shown_and_never_obeyed() -> None:
    made = PROFILES["appliance"].model_copy(
        update={"description": HOSTILE, "notes": HOSTILE, "tags": (HOSTILE,)}
    )
    station = FakeWorkstation(
        views=[MachineView(HOSTILE, State.RUNNING, made, reason=HOSTILE, problem=HOSTILE,
                           based_on=HOSTILE, since=NOW)]
    )  # fmt: skip
    station.history = {HOSTILE: samples_of(1)}
    station.serial = {HOSTILE: HOSTILE.encode("utf-8", "surrogatepass")}
    station.say(HOSTILE, HOSTILE)
    station.publish(Activity(1, HOSTILE, 1, 2))
    station.fails["stop"] = HostError(HOSTILE, hint=HOSTILE, details=HOSTILE)
    async with opened(station, size=(160, 50)) as (app, pilot):
        await pilot.press("l")
        await pilot.pause()
        assert_harmless(app.export_screenshot(), shown(app))
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog))
        await pilot.press("d")
        await pilot.pause()
        assert_harmless(app.export_screenshot(), shown(app))
        await pilot.press("escape", "F")
        await until(pilot, lambda: "Force" in shown(app))
        assert_harmless(app.export_screenshot(), shown(app))


def assert_harmless(*texts: str) -> None:
    for text in texts:
        for character in "\x1b\x07\x9b\x00\u202e\u2066\r\ud800":
            assert character not in text, hex(ord(character))
    assert "[@click=app.quit]g[/]" in texts[-1]

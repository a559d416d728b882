"""The library screen: what it shows, and how it follows what happens."""

import asyncio
from dataclasses import replace

from textual.widgets import Input

from tests.fakes.driving import app_on, opened, settled, shown, until
from tests.fakes.layers import NOW
from tests.fakes.machines import library, samples_of
from tests.fakes.profiles import PROFILES
from tests.fakes.workstation import FakeWorkstation
from workstation.errors import HostError
from workstation.model.events import Activity, Sampled
from workstation.model.host import Finding, HostFacts, Level
from workstation.model.machine import MachineView, State
from workstation.ui.commands import COMMANDS
from workstation.ui.dialogs.error import ErrorDialog
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

"""Every command: its key does what its label says, where the machine's state allows it."""

import asyncio
import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from textual.screen import Screen

from tests.fakes.driving import closed, on, opened, shown, until
from tests.fakes.machines import library, overcommitted
from tests.fakes.workstation import FakeWorkstation
from workstation.errors import LaunchError, NotAllowedError
from workstation.model.events import Activity
from workstation.model.machine import State, Verb
from workstation.ui.app import WorkstationApp
from workstation.ui.commands import COMMANDS
from workstation.ui.commands.base import MachineCommand
from workstation.ui.console.screen import ConsoleScreen
from workstation.ui.desk import Desk
from workstation.ui.dialogs.confirm import Confirm
from workstation.ui.dialogs.doctor import DoctorDialog
from workstation.ui.dialogs.error import ErrorDialog
from workstation.ui.dialogs.help import HelpDialog


def state(station: FakeWorkstation, name: str) -> State:
    return station.machines[name].state


@pytest.mark.parametrize(
    ("name", "key", "call", "after"),
    [
        ("debian-12", "s", ("start", "debian-12"), State.RUNNING),
        ("debian-12", "enter", ("start", "debian-12"), State.RUNNING),
        ("crm", "s", ("start", "crm"), State.RUNNING),
        ("sales-demo", "S", ("stop", "sales-demo"), State.OFF),
        ("sales-demo", "p", ("pause", "sales-demo"), State.PAUSED),
        ("build-box", "p", ("resume", "build-box"), State.RUNNING),
    ],
)
async def test_a_key_acts_on_the_selected_machine(
    name: str, key: str, call: tuple[str, ...], after: State
) -> None:
    station = library()
    async with opened(station) as (app, pilot):
        app.library.go_to(name)
        await pilot.press(key)
        await until(pilot, lambda: state(station, name) is after)
        assert station.calls == [call]


async def test_a_key_does_nothing_where_the_state_forbids_it() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        for name, keys in (("debian-12", "ScFRp"), ("sales-demo", "sd"), ("typo", "s")):
            app.library.go_to(name)
            await pilot.press(*keys)
            assert station.calls == []
            assert app.screen is app.library


@pytest.mark.parametrize(
    ("name", "key", "verb"),
    [
        ("sales-demo", "F", "stop --force"),
        ("sales-demo", "R", "reset"),
        ("debian-12", "d", "delete"),
    ],
)
async def test_what_loses_something_asks_first_and_enter_is_no(
    name: str, key: str, verb: str
) -> None:
    station = library()
    async with opened(station) as (app, pilot):
        app.library.go_to(name)
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert name in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.library)
        assert station.calls == []
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("right", "enter")
        await until(pilot, lambda: station.calls)
        assert station.calls == [(verb, name)]


async def test_delete_says_how_big_the_machine_is_and_removes_its_row() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        app.library.go_to("debian-12")
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert "84 MiB" in shown(app)
        await pilot.click("#yes")
        await until(pilot, lambda: "debian-12" not in shown(app))
        assert app.library.view is not None
        assert app.library.view.name == "fresh"


async def test_overcommit_shows_the_numbers_and_can_be_insisted_on() -> None:
    station = library()
    station.fails["overcommit"] = overcommitted("debian-12")
    async with opened(station) as (app, pilot):
        app.library.go_to("debian-12")
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert "2.1 GiB" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.library)
        assert state(station, "debian-12") is State.OFF
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.click("#yes")
        await until(pilot, lambda: state(station, "debian-12") is State.RUNNING)
        assert station.calls[-1] == ("start", "debian-12", "force")


async def test_a_second_press_does_not_start_twice() -> None:
    station = library()
    station.hold["start"] = asyncio.Event()
    async with opened(station) as (app, pilot):
        app.library.go_to("debian-12")
        await pilot.press("s", "s")
        await until(pilot, lambda: station.calls)
        station.hold["start"].set()
        await until(pilot, lambda: state(station, "debian-12") is State.RUNNING)
        assert station.calls == [("start", "debian-12")]


async def test_a_failure_says_what_why_and_what_next_with_details_on_demand() -> None:
    station = library()
    station.fails["start"] = LaunchError(
        "QEMU ended with exit code 1", hint="change the forward with E", details="qemu: port taken"
    )
    async with opened(station) as (app, pilot):
        app.library.go_to("debian-12")
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog))
        text = shown(app)
        assert "QEMU did not start" in text
        assert "exit code 1" in text
        assert "Change the forward with E" in text
        assert "port taken" not in text
        await pilot.press("d")
        await pilot.pause()
        assert "port taken" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.library)


async def test_a_fault_of_the_program_is_a_sentence_too() -> None:
    station = library()
    station.fails["start"] = ZeroDivisionError("oh")  # type: ignore[assignment]
    async with opened(station) as (app, pilot):
        app.library.go_to("debian-12")
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog))
        assert "The program has a fault" in shown(app)
        assert "Traceback" not in shown(app)


async def test_what_the_system_refuses_is_no_fault_of_the_program() -> None:
    station = library()
    station.fails["start"] = OSError(errno.ENOSPC, "No space left on device")  # type: ignore[assignment]
    async with opened(station) as (app, pilot):
        app.library.go_to("debian-12")
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog))
        assert "No space left on device" in shown(app)
        assert "Make room" in shown(app)


async def test_a_verb_that_came_too_late_is_explained() -> None:
    station = library()
    station.fails["stop"] = NotAllowedError("“sales-demo” is off: it cannot stop now")
    async with opened(station) as (app, pilot):
        app.library.go_to("sales-demo")
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog))
        assert "Not possible now" in shown(app)


@pytest.mark.parametrize(
    ("key", "dialog", "text"),
    [
        ("question_mark", HelpDialog, "What the signs mean"),
        ("D", DoctorDialog, "apt install swtpm"),
    ],
)
async def test_a_dialog_opens_and_escape_closes_it(key: str, dialog: type, text: str) -> None:
    async with opened(library()) as (app, pilot):
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, dialog))
        assert text in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.library)


async def test_help_has_every_command_with_its_key() -> None:
    async with opened(library(), size=(100, 160)) as (app, pilot):
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpDialog))
        text = shown(app)
        for command in COMMANDS.values():
            assert command.label in text
            assert command.shown_key in text
            assert command.help().split()[0] in text


async def test_cancel_ends_the_work_that_is_shown() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        await pilot.press("x")
        station.publish(Activity(7, "export crm", 1, 2))
        await until(pilot, lambda: "export crm" in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: station.calls)
        assert station.calls == [("cancel", "7")]


async def test_the_log_opens_and_closes() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        assert "power button pressed" not in shown(app)
        await pilot.press("l")
        await until(pilot, lambda: "power button pressed" in shown(app))
        station.say("something new")
        await until(pilot, lambda: "something new" in shown(app))
        await pilot.press("l")
        await until(pilot, lambda: "something new" not in shown(app))


async def test_theme_is_chosen_in_the_palette() -> None:
    async with opened(library()) as (app, pilot):
        app.library.action_command("theme")
        await until(pilot, lambda: app.screen is not app.library)
        await pilot.press(*"nord", "enter")
        await until(pilot, lambda: app.theme == "nord")


async def test_the_palette_runs_commands_and_finds_machines() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Reset demo  (r)" in shown(app))
        await pilot.press(*"win11")
        await until(pilot, lambda: "Go to it (crashed)" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.library)
        await until(pilot, lambda: app.library.view is station.machines["win11"])


async def test_quit_lets_go_and_says_that_machines_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    station = library()
    async with opened(station) as (app, pilot):
        await pilot.press("q")
        await until(pilot, lambda: station.left)
        await until(pilot, lambda: app._exit)
    farewell = " ".join(capsys.readouterr().err.split())
    assert "build-box, kernel-lab, lab-1 and 2 more go on running." in farewell


async def test_ctrl_q_leaves_as_well() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app._exit)
    assert station.left


# -- commands that take the terminal ------------------------------------------


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records when the terminal is given away and taken back; a test has none to give."""
    events: list[str] = []

    @contextmanager
    def suspend(self: WorkstationApp) -> Iterator[None]:
        events.append("suspended")
        yield
        events.append("resumed")

    monkeypatch.setattr(WorkstationApp, "suspend", suspend)
    return events


@pytest.mark.parametrize("key", ["c", "enter"])
async def test_console_opens_on_the_selected_machine(key: str) -> None:
    async with opened(library()) as (app, pilot):
        app.library.go_to("sales-demo")
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, ConsoleScreen))
        await until(pilot, lambda: "uptime" in shown(app))
        await pilot.press("ctrl+right_square_bracket")
        await until(pilot, lambda: app.screen is app.library)


def editor(path: Path, *steps: str) -> str:
    """A program that edits its file as the steps say, one a run."""
    script = path / "editor.py"
    script.write_text(
        "import pathlib, sys\n"
        f"steps = {steps!r}\n"
        f"count = pathlib.Path({str(path / 'count')!r})\n"
        "run = int(count.read_text()) if count.exists() else 0\n"
        "count.write_text(str(run + 1))\n"
        "pathlib.Path(sys.argv[1]).write_text(steps[run])\n"
    )
    return f"{sys.executable} {script}"


async def test_edit_offers_to_edit_again_until_the_file_is_valid(
    handed: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", editor(tmp_path, "memroy: 1 GiB\n", "memory: 1 GiB\n"))
    station = library()
    async with opened(station) as (app, pilot):
        app.library.go_to("debian-12")
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog))
        assert station.texts == {}
        assert "1 problem" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: station.texts)
        assert station.texts == {"debian-12": "memory: 1 GiB\n"}
        assert handed == ["suspended", "resumed"] * 2


async def test_edit_can_be_given_up(
    handed: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VISUAL", editor(tmp_path, "memroy: 1 GiB\n"))
    station = library()
    async with opened(station) as (app, pilot):
        app.library.go_to("debian-12")
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.library)
        assert station.texts == {}


@pytest.mark.parametrize(
    ("command", "told"), [("/no/such/editor", "cannot be run"), ("false", "status 1")]
)
async def test_an_editor_that_fails_is_told(
    command: str, told: str, handed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", command)
    async with opened(library()) as (app, pilot):
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog))
        assert told in shown(app)


# -- one definition -----------------------------------------------------------


def test_every_command_is_defined_whole() -> None:
    for name, command in COMMANDS.items():
        assert command.id == name
        assert command.label
        assert command.help().endswith(".")
        assert bool(command.keys) == bool(command.shown_key) or name == "palette"
        if isinstance(command, MachineCommand):
            assert Verb(command.verb)


@pytest.mark.parametrize("key", ["c", "g", "h", "n"])
async def test_work_on_a_screen_ends_before_its_widgets_are_gone(key: str) -> None:
    ended = asyncio.Event()

    async def draw(screen: Screen[Any]) -> None:
        try:
            widgets = [widget for widget in screen.query("*") if not widget.is_scrollable]
            while all(widget.is_attached for widget in widgets):  # noqa: ASYNC110
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            ended.set()

    async with on(library()) as (app, pilot):
        await pilot.press(key)
        await until(pilot, lambda: app.screen is not app.library)
        left = app.screen
        left.run_worker(draw(left))
        left.dismiss(None)
        await closed(app, pilot)
        assert ended.is_set()


@pytest.mark.parametrize("key", ["c", "g", "h"])
async def test_what_is_to_be_drawn_on_a_screen_that_is_left_is_not(key: str) -> None:
    async with on(library()) as (app, pilot):
        await pilot.press(key)
        await until(pilot, lambda: app.screen is not app.library)
        left = cast(Desk, app.screen)
        await pilot.pause()
        left.dismiss(None)
        await closed(app, pilot)
        left.show_again()
        if isinstance(left, ConsoleScreen):
            left.looked()
        assert "sales-demo" in shown(app)

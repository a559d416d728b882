"""The wizard: three Enters for the default, and every other way to a machine."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input, Static, TextArea

from tests.fakes.driving import app_on, opened, settled, shown, until
from tests.fakes.machines import library
from tests.fakes.profiles import PROFILES
from tests.fakes.workstation import FakeWorkstation
from tests.pictures import Compare
from workstation.core.making.remarks import Remark
from workstation.errors import InvalidError
from workstation.model.machine import State
from workstation.model.profile import Profile
from workstation.profile.problems import Problem, ProfileError
from workstation.ui.app import WorkstationApp
from workstation.ui.dialogs.error import ErrorDialog
from workstation.ui.new.asking import PathDialog, PickDialog
from workstation.ui.new.dialog import NewDialog

SIZES = pytest.mark.parametrize("size", [(100, 30), (80, 24)], ids=["100x30", "80x24"])


@asynccontextmanager
async def wizard(
    station: FakeWorkstation,
) -> AsyncIterator[tuple[WorkstationApp, Pilot[Any], NewDialog]]:
    async with opened(station) as (app, pilot):
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewDialog) and app.focused)
        assert isinstance(app.screen, NewDialog)
        yield app, pilot, app.screen


async def to_form(pilot: Pilot[Any], dialog: NewDialog, *keys: str) -> None:
    await pilot.press(*keys, "enter")
    await until(pilot, lambda: dialog.steps.current == "form" and dialog.form.profile)


def box(dialog: NewDialog, key: str) -> Input:
    return dialog.form.query_one(f"#{key}", Input)


def disabled(dialog: NewDialog, button: str) -> bool:
    return dialog.query_one(f"#{button}", Button).disabled


async def typed(pilot: Pilot[Any], dialog: NewDialog, key: str, text: str) -> None:
    box(dialog, key).value = text
    await pilot.pause()


async def test_new_is_three_enters() -> None:
    station = library()
    async with wizard(station) as (app, pilot, _):
        await pilot.press("enter", "enter", "enter")
        await until(pilot, lambda: station.machines.get("appliance") is not None)
        await until(pilot, lambda: station.machines["appliance"].state is State.RUNNING)
        assert station.calls == [("create", "appliance", "appliance"), ("start", "appliance")]
        assert app.library.view is not None
        assert app.library.view.name == "appliance"


async def test_a_free_name_is_suggested_and_a_wrong_one_is_told() -> None:
    station = library()
    async with wizard(station) as (app, pilot, dialog):
        await to_form(pilot, dialog, "down")
        assert box(dialog, "name").value == "debian-12-2"
        for wrong, told in (("crm", "already"), ("Ähm", "cannot be"), ("", "cannot be")):
            await typed(pilot, dialog, "name", wrong)
            await until(pilot, lambda told=told: told in shown(app))  # type: ignore[misc]
            assert disabled(dialog, "next")
            await pilot.press("enter")
            assert dialog.steps.current == "form"
        await typed(pilot, dialog, "name", "mine")
        await until(pilot, lambda: not disabled(dialog, "next"))
        await pilot.press("enter")
        await until(pilot, lambda: dialog.steps.current == "review")
        await pilot.click("#create")
        await until(pilot, lambda: station.machines.get("mine") is not None)
        assert station.calls == [("create", "mine", "debian-12")]


async def test_answers_go_into_the_profile_and_wrong_ones_are_told_beside_their_field() -> None:
    station = library()
    async with wizard(station) as (app, pilot, dialog):
        await to_form(pilot, dialog, "down")
        for key, wrong, told in (
            ("memory", "2", "512 MiB"),
            ("cpus", "many", "whole numbers"),
            ("disk", "large", "Write a size"),
            ("iso", "No Disc", "allowed: an image’s"),
        ):
            right = box(dialog, key).value
            await typed(pilot, dialog, key, wrong)
            await until(pilot, lambda told=told: told in shown(app))  # type: ignore[misc]
            assert disabled(dialog, "next")
            await typed(pilot, dialog, key, right)
            await until(pilot, lambda: not disabled(dialog, "next"))
        for key, text in (("memory", "3 GiB"), ("cpus", "4"), ("disk", "30G"), ("iso", "nixos")):
            await typed(pilot, dialog, key, text)
        await typed(pilot, dialog, "image", "alpine")
        await until(pilot, lambda: "nixos" in str(dialog.form.profile))
        await pilot.press("enter")
        await until(pilot, lambda: dialog.steps.current == "review")
        await pilot.press("enter")
        await until(pilot, lambda: "debian-12-2" in station.machines)
        made = station.machines["debian-12-2"].profile
        assert made
        assert (made.memory, made.cpu.count) == (3 * 2**30, 4)
        assert (made.drives[0].size, made.drives[0].image) == (30 * 2**30, "alpine")
        assert made.cdroms[0].image == "nixos"


async def test_enter_right_after_the_last_key_takes_what_was_typed() -> None:
    station = library()
    async with wizard(station) as (_, pilot, dialog):
        await to_form(pilot, dialog, "down")
        memory = box(dialog, "memory")
        memory.focus()
        memory.value = "7 GiB"
        memory.post_message(Input.Submitted(memory, "7 GiB"))
        await until(pilot, lambda: dialog.steps.current == "review")
        assert "memory: 7 GiB" in dialog.review.query_one(TextArea).text


async def test_what_does_not_fit_this_computer_is_told_while_typing() -> None:
    station = library()
    station.wizard.said = [
        Remark("memory", "this computer has 24 GiB in all", fatal=True),
        Remark("ports", "taken on this computer now: 8080; free ones are chosen"),
    ]
    async with wizard(station) as (app, pilot, dialog):
        await to_form(pilot, dialog)
        await until(pilot, lambda: "24 GiB in all" in shown(app))
        assert "8080" in shown(app)
        assert disabled(dialog, "next")
        station.wizard.said = station.wizard.said[1:]
        await typed(pilot, dialog, "memory", "1 GiB")
        await until(pilot, lambda: not disabled(dialog, "next"))


async def test_the_text_can_be_changed_and_the_validator_stands_beside_it() -> None:
    station = library()
    async with wizard(station) as (app, pilot, dialog):
        await to_form(pilot, dialog, "down")
        await pilot.press("enter")
        await until(pilot, lambda: dialog.steps.current == "review")
        area = dialog.review.query_one(TextArea)
        right = area.text
        assert right.startswith("name: debian-12-2\n")
        area.text = right.replace("memory: 2 GiB", "memory: 2")
        await until(pilot, lambda: "line 5:9 memory: a unit is missing" in shown(app))
        assert disabled(dialog, "start")
        area.text = right.replace("debian-12-2", "other").replace("2 GiB", "6 GiB")
        await until(pilot, lambda: not disabled(dialog, "start"))
        # One step back, and the form has what the text said.
        await pilot.press("ctrl+b")
        await until(pilot, lambda: dialog.steps.current == "form")
        assert (box(dialog, "name").value, box(dialog, "memory").value) == ("other", "6 GiB")
        await pilot.press("enter")
        await until(pilot, lambda: dialog.steps.current == "review")
        await pilot.press("enter")
        await until(pilot, lambda: "other" in station.machines)
        made = station.machines["other"].profile
        assert made
        assert made.memory == 6 * 2**30


async def test_a_disc_of_the_library_goes_beside_a_blank_disk() -> None:
    async with wizard(library()) as (app, pilot, dialog):
        await pilot.press("end", "up", "up", "up", "up", "enter")
        await until(pilot, lambda: isinstance(app.screen, PickDialog))
        await pilot.press("end", "enter")
        await until(pilot, lambda: dialog.steps.current == "form")
        assert (box(dialog, "iso").value, box(dialog, "image").value) == ("tools", "")


async def test_an_image_of_the_catalog_or_the_library() -> None:
    station = library()
    async with wizard(station) as (app, pilot, dialog):
        await pilot.press("end", "up", "up", "up", "up", "enter")
        await until(pilot, lambda: isinstance(app.screen, PickDialog))
        assert "here · Debian 13" in shown(app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: dialog.steps.current == "form")
        assert box(dialog, "image").value == "debian-13"
        await pilot.press("enter", "enter")
        await until(pilot, lambda: ("start", "debian-13") in station.calls)


@pytest.mark.parametrize(
    ("ups", "key", "value"), [(3, "iso", "system.iso"), (2, "image", "disk.qcow2")]
)
async def test_a_file_is_asked_for_and_must_be_there(
    tmp_path: Path, ups: int, key: str, value: str
) -> None:
    file = tmp_path / value
    file.write_bytes(b"")
    station = library()
    async with wizard(station) as (app, pilot, dialog):
        await pilot.press("end", *["up"] * ups, "enter")
        await until(pilot, lambda: isinstance(app.screen, PathDialog))
        app.screen.query_one(Input).value = f"{file}x"
        await until(pilot, lambda: "no such file" in shown(app))
        await pilot.press("enter")
        assert isinstance(app.screen, PathDialog)
        app.screen.query_one(Input).value = str(file)
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: dialog.steps.current == "form")
        assert box(dialog, key).value == str(file)


class Adopting:
    """Takes over what other programs have made."""

    def __init__(self, station: FakeWorkstation) -> None:
        self._station = station

    async def adopt(self, path: Path, name: str) -> None:
        await self._station.create(name, PROFILES["appliance"], based_on=path.name)


async def test_a_disk_of_another_program_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "Old.vmdk"
    file.write_bytes(b"")
    station = library()
    station.foreign = Adopting(station)  # type: ignore[assignment]
    async with wizard(station) as (app, pilot, _):
        await pilot.press("end", "up", "up", "enter")
        await until(pilot, lambda: isinstance(app.screen, PathDialog))
        app.screen.query_one(Input).value = str(file)
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: "another program" in shown(app) and app.screen.query("#name"))
        await pilot.press("enter")
        await until(pilot, lambda: station.calls)
        assert station.calls == [("create", "old", "Old.vmdk")]


async def test_a_profile_of_a_directory(tmp_path: Path) -> None:
    station = library()
    async with wizard(station) as (app, pilot, dialog):
        await pilot.press("end", "enter")
        await until(pilot, lambda: isinstance(app.screen, PathDialog))
        app.screen.query_one(Input).value = str(tmp_path)
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: dialog.steps.current == "form")
        assert box(dialog, "name").value == "appliance"


async def test_a_profile_with_problems_says_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    station = library()
    wrong = [Problem("lab.yaml", 3, 1, "memroy", "unknown key"),
             Problem("lab.yaml", 9, 3, "cpu.coresx", "unknown key")]  # fmt: skip

    def load(name: str) -> Profile:
        raise ProfileError("lab.yaml", wrong)

    monkeypatch.setattr(station, "load_profile", load)
    async with wizard(station) as (app, pilot, dialog):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog) and app.focused)
        assert "lab.yaml:3:1: memroy: unknown key" in shown(app)
        assert "lab.yaml:9:3: cpu.coresx: unknown key" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is dialog)
        assert dialog.steps.current == "first"


async def test_another_machine_is_branched_off() -> None:
    station = library()
    async with wizard(station) as (app, pilot, _):
        await pilot.press("end", "up", "enter")
        await until(pilot, lambda: isinstance(app.screen, PickDialog))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "A branch of crm" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: station.calls)
        assert station.calls == [("clone", "crm", "crm-2", "")]


async def test_it_can_be_left_at_every_step() -> None:
    station = library()
    async with wizard(station) as (app, pilot, _):
        for steps in range(3):
            for key in ["enter"] * steps + ["escape"] * (steps + 1):
                assert isinstance(app.screen, NewDialog)
                await pilot.press(key)
                await until(pilot, lambda: app.focused)
            await until(pilot, lambda: app.screen is app.library)
            await pilot.press("n")
            await until(pilot, lambda: isinstance(app.screen, NewDialog) and app.focused)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: app.screen.query_one("#start", Button).has_focus)
        await pilot.click("#cancel")
        await until(pilot, lambda: app.screen is app.library)
        assert station.calls == []


async def test_the_text_of_the_last_look_is_edited_by_e() -> None:
    async with wizard(library()) as (app, pilot, dialog):
        await to_form(pilot, dialog)
        await pilot.press("enter")
        await until(pilot, lambda: dialog.query_one("#start", Button).has_focus)
        assert "e edit the text" in shown(app)
        await pilot.press("e")
        await until(pilot, lambda: dialog.review.text.has_focus)
        before = dialog.review.text.text
        await pilot.press("e")
        assert dialog.review.text.text == "e" + before


async def test_a_key_too_much_costs_no_answer() -> None:
    async with wizard(library()) as (_, pilot, dialog):
        await to_form(pilot, dialog, "down")
        box(dialog, "memory").value = "3 GiB"
        await pilot.press("enter")
        await until(pilot, lambda: dialog.query_one("#start", Button).has_focus)
        await pilot.press("escape")
        await until(pilot, lambda: box(dialog, "name").has_focus)
        assert box(dialog, "memory").value == "3 GiB"


async def test_who_logs_in_is_asked_and_told() -> None:
    station = library()
    async with wizard(station) as (_, pilot, dialog):
        await to_form(pilot, dialog, "down")
        for key, wrong, told in (
            ("user", "Maria Muster", "a login name"),
            ("key", "mine", "own"),
            ("hostname", "a b", "a host name"),
        ):
            right = box(dialog, key).value
            await typed(pilot, dialog, key, wrong)
            remark = dialog.form.query_one(f"#{key}-remark", Static)
            await until(pilot, lambda told=told, at=remark: told in str(at.content))  # type: ignore[misc]
            assert disabled(dialog, "next")
            await typed(pilot, dialog, key, right)
            await until(pilot, lambda: not disabled(dialog, "next"))
        for key, text in (("user", "maria"), ("key", "machine"), ("hostname", "till")):
            await typed(pilot, dialog, key, text)
        await until(pilot, lambda: "till" in str(dialog.form.profile))
        await pilot.press("enter")
        await until(pilot, lambda: dialog.steps.current == "review")
        text = dialog.review.query_one(TextArea).text
        assert "user: maria\n  ssh_key: machine\n  hostname: till" in text


async def test_what_cannot_be_made_is_told_and_nothing_is_typed_twice() -> None:
    station = library()
    station.fails["create"] = InvalidError("“thing” is not what its publisher lists")
    async with wizard(station) as (app, pilot, dialog):
        await to_form(pilot, dialog, "down")
        await typed(pilot, dialog, "memory", "3 GiB")
        await until(pilot, lambda: "3 GiB" in str(box(dialog, "memory").value))
        await pilot.press("enter")
        await until(pilot, lambda: dialog.steps.current == "review")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog) and app.focused)
        assert "publisher" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, NewDialog) and app.focused)
        again = app.screen
        assert isinstance(again, NewDialog)
        await until(pilot, lambda: "memory: 3 GiB" in again.review.query_one(TextArea).text)
        # Back in the form all is as it was typed, too.
        await pilot.press("ctrl+b")
        await until(pilot, lambda: again.steps.current == "form")
        assert box(again, "memory").value == "3 GiB"
        del station.fails["create"]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "debian-12-2" in station.machines)
        assert ("create", "debian-12-2", "debian-12") in station.calls


async def test_a_wish_that_cannot_be_made_can_be_let_go() -> None:
    station = library()
    station.fails["create"] = InvalidError("“thing” is not what its publisher lists")
    async with wizard(station) as (app, pilot, _):
        await pilot.press("enter", "enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog) and app.focused)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.library)


# -- looks ------------------------------------------------------------------------


@SIZES
@pytest.mark.parametrize("step", ["first", "form", "review", "wrong", "image", "disc"])
def test_each_step_looks(looks_as_kept: Compare, size: tuple[int, int], step: str) -> None:
    station = library()
    station.wizard.said = [
        Remark("image", "“debian-12” is not here: it is downloaded first, 430 MiB"),
        Remark("ports", "taken on this computer now: 8080; free ones are chosen"),
    ]
    app = app_on(station)
    keys = {
        "first": ["down"],
        "form": ["down", "down", "enter"],
        "review": ["down", "down", "enter", "enter"],
        "wrong": ["down", "down", "enter", "enter"],
        "image": ["end", "up", "up", "up", "up", "enter"],
        "disc": ["end", "up", "up", "up", "enter"],
    }[step]

    async def before(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewDialog) and app.focused)
        for key in keys:
            await pilot.press(key)
        await until(pilot, _ready(app, step))
        if step == "wrong":
            area = app.screen.query_one(TextArea)
            area.text = area.text.replace("memory: 128 MiB", "memory: lots\nnotess: blue")
            said = app.screen.query_one("#messages", Static)
            await until(pilot, lambda: "notess: unknown key" in str(said.content))
        await pilot.pause()

    assert looks_as_kept(app, size=size, before=before)


def _ready(app: WorkstationApp, step: str) -> Callable[[], object]:
    ready: dict[str, Callable[[], object]] = {
        "first": lambda: "20 GiB" in shown(app),
        "form": lambda: "downloaded" in shown(app),
        "image": lambda: isinstance(app.screen, PickDialog),
        "disc": lambda: isinstance(app.screen, PathDialog),
    }
    return ready.get(step, lambda: "downloaded" in shown(app) and app.screen.query("#yaml"))

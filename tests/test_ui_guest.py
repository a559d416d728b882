"""The screens and what goes on inside a guest: what it says of itself, ssh."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fakes.driving import opened, shown, until
from tests.fakes.machines import library
from workstation.model.guest import GuestFacts
from workstation.ui import handover
from workstation.ui.dialogs.error import ErrorDialog


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """When the terminal was given away, and taken back."""
    happened: list[str] = []

    @contextmanager
    def terminal(_: object) -> Iterator[None]:
        happened.append("given")
        yield
        happened.append("back")

    monkeypatch.setattr(handover, "terminal", terminal)
    return happened


async def test_a_key_logs_in_by_ssh_in_this_terminal(handed: list[str]) -> None:
    station = library()
    async with opened(station) as (app, pilot):
        app.library.go_to("sales-demo")
        await pilot.press("H")
        await until(pilot, lambda: handed == ["given", "back"])
        assert station.calls == [("ssh", "sales-demo")]


async def test_an_ssh_that_fails_says_where_its_words_are(handed: list[str]) -> None:
    station = library()
    station.inside.code = 255
    async with opened(station) as (app, pilot):
        app.library.go_to("sales-demo")
        await pilot.press("H")
        await until(pilot, lambda: isinstance(app.screen, ErrorDialog))
        assert "workstation ssh sales-demo" in shown(app)


async def test_what_the_guest_says_and_what_is_still_to_come_is_shown() -> None:
    station = library()
    async with opened(station) as (app, pilot):
        app.library.go_to("sales-demo")
        said = GuestFacts("till", "Debian GNU/Linux 12", "6.1", ("10.0.2.15",))
        station.change("sales-demo", guest=said, unfinished=True)
        await until(pilot, lambda: "till · Debian GNU/Linux 12 · 10.0.2.15" in shown(app))
        assert "its first boot has not finished" in shown(app)

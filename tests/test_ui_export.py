"""Export: where to, how much, and what goes along, before anything is written."""

from textual.pilot import Pilot
from textual.widgets import Button, Checkbox, Input

from tests.fakes.carry import CARD, HERE, STICK
from tests.fakes.driving import box, dialog, on, shown, until, words_of
from tests.fakes.machines import library
from workstation.core.bundle.estimate import Estimate
from workstation.core.bundle.vault import SHORTEST
from workstation.core.host.media import Medium
from workstation.errors import HostError
from workstation.ui.app import WorkstationApp
from workstation.ui.dialogs import export
from workstation.ui.dialogs.error import ErrorDialog
from workstation.ui.dialogs.export import ExportDialog

SECRET = "correct horse"

BUNDLE = STICK.path / "sales-demo.vmbundle"


async def exporting(app: WorkstationApp, pilot: Pilot[None]) -> ExportDialog:
    """The export's dialog, when it has said how much it would write."""
    await dialog(app, pilot, ExportDialog)
    screen = app.screen
    assert isinstance(screen, ExportDialog)
    await until(pilot, lambda: screen.estimated)
    return screen


async def test_an_export_to_the_stick_is_three_keys() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("e")
        await exporting(app, pilot)
        told = shown(app)
        assert "STICK" in told
        assert "28 GiB free" in told
        assert "About 412 MiB will be written, 112 MiB of them memory" in told
        await pilot.press("enter", "enter")
        await until(pilot, lambda: "STICK can be pulled out" in shown(app))
        assert station.calls == [("export", "sales-demo", str(BUNDLE), "memory")]


async def test_an_export_goes_where_it_is_typed_without_memory_and_packed() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("e")
        screen = await exporting(app, pilot)
        screen.path_box.value = "/tmp/mine.vmbundle"
        await pilot.press("tab", "tab", "space", "tab", "space")
        await until(pilot, lambda: "At most 300 MiB" in shown(app))
        screen.query_one("#yes").focus()
        await until(pilot, lambda: screen.query_one("#yes").has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: station.calls)
        assert station.calls == [
            ("export", "sales-demo", "/tmp/mine.vmbundle", "flatten", "compress")
        ]


async def test_an_export_onto_a_bundle_says_how_little_it_adds() -> None:
    station = library()
    station.sticks.estimates[BUNDLE] = Estimate(3 * 2**20, 0, kept=400 * 2**20)
    async with on(station) as (app, pilot):
        await pilot.press("e")
        await exporting(app, pilot)
        told = shown(app)
        assert "It is there already, with 400 MiB" in told
        assert "3 MiB" in told


async def test_an_export_that_cannot_be_says_so_before_it_begins() -> None:
    station = library()
    station.sticks.estimates[BUNDLE] = Estimate(
        5 * 2**30, 0, trouble="a file on STICK (vfat) may have 4 GiB", mend="make it smaller"
    )
    async with on(station) as (app, pilot):
        await pilot.press("e")
        screen = await exporting(app, pilot)
        told = shown(app)
        assert "A file on STICK (vfat) may have 4 GiB." in told
        assert "→ make it smaller" in told
        assert screen.query_one("#yes", Button).disabled


async def test_a_stick_that_is_plugged_in_meanwhile_is_offered() -> None:
    station = library()
    station.sticks.plugged = [HERE]
    async with on(station) as (app, pilot):
        await pilot.press("e")
        screen = await exporting(app, pilot)
        assert screen.path_box.value == "/home/me/sales-demo.vmbundle"
        station.sticks.plugged = [STICK, CARD, HERE]
        await until(pilot, lambda: screen.path_box.value == str(BUNDLE))
        assert "read only" in shown(app)


async def test_a_look_at_the_sticks_changes_neither_choice_nor_what_is_typed() -> None:
    station = library()
    station.sticks.plugged = [STICK, CARD, HERE]
    async with on(station) as (app, pilot):
        await pilot.press("e")
        screen = await exporting(app, pilot)
        await pilot.press("down", "down")
        assert screen.path_box.value == "/home/me/sales-demo.vmbundle"
        station.sticks.plugged = [STICK._replace(free=STICK.free - 1), CARD, HERE]
        await until(pilot, lambda: screen.places == station.sticks.plugged)
        await pilot.pause()
        assert screen.list_box.highlighted == 2
        assert screen.path_box.value == "/home/me/sales-demo.vmbundle"
        screen.path_box.value = ""
        station.sticks.plugged = [STICK, CARD, HERE]
        await until(pilot, lambda: screen.places == station.sticks.plugged)
        await pilot.pause()
        assert screen.path_box.value == "", "emptied to type another one"


async def test_an_export_that_fails_says_why() -> None:
    station = library()
    station.fails["export"] = HostError("STICK is full", hint="make room there")
    async with on(station) as (app, pilot):
        await pilot.press("e")
        await exporting(app, pilot)
        await pilot.press("enter", "enter")
        assert "STICK is full" in await dialog(app, pilot, ErrorDialog)


async def test_an_export_behind_a_passphrase_asks_for_it_twice_and_never_shows_it() -> None:
    assert export.SHORTEST == SHORTEST
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("e")
        screen = await exporting(app, pilot)
        yes = screen.query_one("#yes", Button)
        assert not screen.secret.display
        screen.query_one("#encrypt", Checkbox).value = True
        await until(pilot, lambda: box(app, "secret").has_focus)
        assert "at least 8 characters" in shown(app)
        assert yes.disabled
        await pilot.press(*"short")
        await until(pilot, lambda: box(app, "secret").value == "short")
        box(app, "secret").value = SECRET
        await until(pilot, lambda: "once more" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: box(app, "again").has_focus)
        box(app, "again").value = SECRET[:-1]
        await until(pilot, lambda: box(app, "again").value == SECRET[:-1])
        assert yes.disabled
        box(app, "again").value = SECRET
        await until(pilot, lambda: not yes.disabled)
        assert "correct" not in shown(app)
        assert SECRET not in repr(screen.wish)
        await pilot.press("enter")
        await until(pilot, lambda: station.calls)
        assert station.calls == [("export", "sales-demo", str(BUNDLE), "memory", "passphrase")]


async def test_a_passphrase_that_is_hidden_again_is_forgotten() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("e")
        screen = await exporting(app, pilot)
        encrypt = screen.query_one("#encrypt", Checkbox)
        encrypt.value = True
        await until(pilot, lambda: box(app, "secret").has_focus)
        box(app, "secret").value = box(app, "again").value = SECRET
        await until(pilot, lambda: screen.wish.passphrase == SECRET)
        encrypt.value = False
        await until(pilot, lambda: not screen.secret.display)
        assert screen.wish.passphrase == ""
        assert not screen.query_one("#yes", Button).disabled


async def test_what_is_added_to_an_encrypted_bundle_needs_its_passphrase_once() -> None:
    station = library()
    station.sticks.estimates[BUNDLE] = Estimate(3 * 2**20, 0, kept=400 * 2**20, locked=True)
    async with on(station) as (app, pilot):
        await pilot.press("e")
        screen = await exporting(app, pilot)
        assert "Type its passphrase." in shown(app)
        assert screen.query_one("#yes", Button).disabled
        assert not screen.query_one("#again", Input).parent.display  # type: ignore[union-attr]
        box(app, "secret").value = SECRET
        await until(pilot, lambda: not screen.query_one("#yes", Button).disabled)
        assert "behind a passphrase: only what is new is added" in words_of(app)


async def test_what_the_stick_is_is_said() -> None:
    station = library()
    stick = Medium(STICK.path, "/dev/sdb1", "STICK", "vfat", 3 * 2**30, 2**33, True, True)
    station.sticks.estimates[BUNDLE] = Estimate(5 * 2**20, 0, medium=stick)
    async with on(station) as (app, pilot):
        await pilot.press("e")
        await exporting(app, pilot)
        told = words_of(app)
        for words in (
            "STICK: FAT32",
            "3 GiB free",
            "4 GiB a file at most",
            "can be pulled out once it is written",
        ):
            assert words in told

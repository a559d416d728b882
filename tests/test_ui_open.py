"""Open: a bundle is shown before anything happens, and then run, settled in or imported."""

from dataclasses import replace
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Button, Input

from tests.fakes.carry import SIGNER, STICK, report
from tests.fakes.driving import app_on, box, closed, dialog, on, shown, until, words_of
from tests.fakes.machines import library
from tests.fakes.workstation import FakeWorkstation
from workstation.core.foreign.look import Looked
from workstation.core.foreign.recognise import Kind
from workstation.errors import LockedError, OvercommitError, UsageError
from workstation.model.profile import Profile
from workstation.ui.app import WorkstationApp
from workstation.ui.dialogs.choose import Choose
from workstation.ui.dialogs.confirm import Confirm
from workstation.ui.dialogs.name import NameDialog
from workstation.ui.dialogs.open import OpenDialog
from workstation.ui.dialogs.unlock import UnlockDialog

SECRET = "correct horse"

BUNDLE = STICK.path / "sales-demo.vmbundle"


async def looking(app: WorkstationApp, pilot: Pilot[None]) -> OpenDialog:
    await dialog(app, pilot, OpenDialog)
    screen = app.screen
    assert isinstance(screen, OpenDialog)
    await until(pilot, lambda: screen.looked)
    return screen


def with_bundle(*, trusted: bool = True, problems: bool = False) -> FakeWorkstation:
    station = library()
    station.sticks.bundles = [BUNDLE]
    station.bundles.reports[BUNDLE] = report(BUNDLE, trusted=trusted, problems=problems)
    return station


async def test_a_bundle_is_shown_and_runs_from_where_it_is() -> None:
    station = with_bundle()
    async with on(station) as (app, pilot):
        await pilot.press("o")
        await looking(app, pilot)
        told = shown(app)
        for words in ("sales-demo", "made 2025-10-09 06:53 UTC by workstation 0.1", "412 MiB",
                      "2 layers, 1 snapshot", f"by {SIGNER} (Maria)"):  # fmt: skip
            assert words in told
        await pilot.press("enter", "enter")
        await until(pilot, lambda: "carried" in station.machines)
        await until(pilot, lambda: len(station.calls) == 2)
        assert station.calls == [("open", str(BUNDLE), ""), ("start", "carried")]
        await until(pilot, lambda: "host port 8080 is taken" in shown(app))
        assert "carried: goes on where it was" in shown(app)


async def test_of_a_directory_its_one_bundle_is_opened(tmp_path: Path) -> None:
    station, file = library(), tmp_path / "a.vmbundle"
    file.touch()
    station.bundles.reports[file] = report(file)
    async with on(station) as (app, pilot):
        await pilot.press("o")
        screen = await looking(app, pilot)
        screen.path_box.value = str(tmp_path)
        await until(pilot, lambda: screen.report)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: station.calls)
        assert station.calls[0] == ("open", str(file), "")


async def test_run_and_settle_in_and_import() -> None:
    station = with_bundle()
    async with on(station) as (app, pilot):
        await pilot.press("o")
        await looking(app, pilot)
        await pilot.click("#settle")
        await until(pilot, lambda: "settle" in [verb for verb, *_ in station.calls])
        assert station.calls[-1] == ("settle", "carried")
        await pilot.press("o")
        await looking(app, pilot)
        await pilot.click("#import")
        await until(pilot, lambda: station.calls[-1] == ("import", str(BUNDLE), ""))


async def test_what_is_no_bundle_is_told_where_it_is_typed() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("o")
        await looking(app, pilot)
        assert "No bundle on what is plugged in" in shown(app)
        await pilot.press(*"x.iso")
        await until(pilot, lambda: "There is no file" in shown(app) and "x.iso." in shown(app))
        assert app.screen.query_one("#run", Button).disabled
        await pilot.press("escape")
        await closed(app, pilot)


async def test_what_this_computer_lacks_is_said_and_its_disks_boot() -> None:
    station = with_bundle(problems=True)
    async with on(station) as (app, pilot):
        await pilot.press("o")
        await looking(app, pilot)
        told = shown(app)
        assert "With memory, but it boots here" in told
        assert "✗ memory: it ran under kvm" in told
        assert "! ports: host port 8080 is taken" in told
        await pilot.press("enter", "enter")
        await until(pilot, lambda: station.calls)
        assert station.calls[0] == ("open", str(BUNDLE), "", "cold")


async def test_a_stranger_s_memory_is_loaded_only_if_the_fingerprint_is_typed() -> None:
    station = with_bundle(trusted=False)
    async with on(station) as (app, pilot):
        await pilot.press("o")
        await looking(app, pilot)
        await pilot.press("enter", "enter")
        assert "From a stranger" in await dialog(app, pilot, Choose)
        await pilot.press("escape")
        await closed(app, pilot)
        assert station.calls == []
        await pilot.press("o")
        await looking(app, pilot)
        await pilot.press("enter", "enter")
        await dialog(app, pilot, Choose)
        await pilot.click("#memory")
        await dialog(app, pilot, NameDialog)
        await pilot.press("x", "enter")
        await until(pilot, lambda: "not its signer" in shown(app))
        app.screen.query_one("#name", Input).value = SIGNER.upper()
        await pilot.press("enter")
        await until(pilot, lambda: station.calls)
        assert station.calls[0] == ("open", str(BUNDLE), SIGNER.upper())


async def test_a_stranger_s_disks_boot() -> None:
    station = with_bundle(trusted=False)
    async with on(station) as (app, pilot):
        await pilot.press("o")
        await looking(app, pilot)
        await pilot.press("enter", "enter")
        await dialog(app, pilot, Choose)
        await pilot.press("enter")
        await until(pilot, lambda: station.calls)
        assert station.calls[0] == ("open", str(BUNDLE), "", "cold")


async def test_settling_in_is_offered_to_what_reads_in_a_bundle() -> None:
    station = library()
    async with on(station) as (app, pilot):
        await pilot.press("i")
        assert station.calls == []
        station.change("sales-demo", reads="the stick “STICK” with sales-demo.vmbundle")
        await until(pilot, lambda: "Settle in" in shown(app))
        assert "the stick “STICK”" in shown(app)
        await pilot.press("i")
        await until(pilot, lambda: station.calls == [("settle", "sales-demo")])


async def test_an_encrypted_bundle_is_looked_at_when_its_passphrase_is_typed() -> None:
    station = with_bundle()
    station.bundles.locks[BUNDLE] = SECRET
    async with on(station) as (app, pilot):
        await pilot.press("o")
        screen = await looking(app, pilot)
        await until(pilot, lambda: "It is behind a passphrase" in shown(app))
        assert screen.query_one("#run", Button).disabled
        await pilot.press("enter")
        await until(pilot, lambda: box(app, "secret").has_focus)
        box(app, "secret").value = "wrong horse"
        await pilot.press("enter")
        await until(pilot, lambda: "That is not the bundle's passphrase." in shown(app))
        box(app, "secret").value = SECRET
        await pilot.press("enter")
        await until(pilot, lambda: screen.report)
        await until(pilot, lambda: screen.query_one("#run", Button).has_focus)
        assert "horse" not in shown(app)


async def test_another_program_s_file_is_shown_and_imported() -> None:
    station = library()
    file = Path("/home/me/appliance.ova")
    profile = Profile.model_validate({"name": "appliance", "memory": "512 MiB"})
    station.others.files[file] = Looked(Kind.OVF, "appliance", profile, (), ("its sound card",), ())
    async with on(station) as (app, pilot):
        await pilot.press("o")
        screen = await looking(app, pilot)
        box(app, "path").value = str(file)
        await until(pilot, lambda: screen.looked_at)
        told = shown(app)
        assert "OVF package" in told
        assert "left out: its sound card" in told
        assert "Run from here" not in told
        await pilot.press("enter")
        await until(pilot, lambda: screen.query_one("#import", Button).has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: "appliance: imported" in shown(app))
        assert station.calls == [("adopt", str(file))]


async def test_a_file_that_the_program_was_started_with_is_shown_at_once() -> None:
    station = with_bundle()
    station.sticks.bundles = []
    app = app_on(station, file=BUNDLE)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        screen = await looking(app, pilot)
        assert screen.report
        assert "It goes on where it was" in shown(app)
        assert station.calls == []
        await pilot.press("enter", "enter")
        await until(pilot, lambda: station.calls)
        assert station.calls[0] == ("open", str(BUNDLE), "")


async def test_the_machine_that_is_here_is_brought_up_to_date() -> None:
    station = with_bundle()
    station.bundles.reports[BUNDLE] = replace(report(BUNDLE), updates="sales-demo", in_place=False)
    async with on(station) as (app, pilot):
        await pilot.press("o")
        screen = await looking(app, pilot)
        assert "“sales-demo” is here already: Update brings it to this moment." in words_of(app)
        await pilot.press("enter")
        await until(pilot, lambda: screen.query_one("#update", Button).has_focus)
        await pilot.press("enter")
        assert "would be lost" in await dialog(app, pilot, Choose)
        await pilot.click("#keep")
        await until(pilot, lambda: len(station.calls) == 2)
        assert [call[0] for call in station.calls] == ["snapshot", "import"]
        assert station.calls[1] == ("import", str(BUNDLE), "", "sales-demo", "discard")


async def test_too_little_memory_is_asked_about_before_it_is_opened() -> None:
    station = with_bundle()
    station.fails["open"] = OvercommitError("“carried” needs 2 GiB of memory", hint="stop another")
    async with on(station) as (app, pilot):
        await pilot.press("o")
        await looking(app, pilot)
        await pilot.press("enter", "enter")
        assert "needs 2 GiB" in await dialog(app, pilot, Confirm)
        del station.fails["open"]
        await pilot.click("#yes")
        await until(pilot, lambda: "carried" in station.machines)
        await until(pilot, lambda: ("start", "carried") in station.calls)
        assert ("open", str(BUNDLE), "", "force") in station.calls


async def test_drives_that_cannot_wait_for_the_stick_boot_on_another_bus() -> None:
    station = with_bundle()
    station.fails["open"] = UsageError("“carried” has NVMe drives", hint="open FILE --cold")
    async with on(station) as (app, pilot):
        await pilot.press("o")
        await looking(app, pilot)
        await pilot.press("enter", "enter")
        assert "has NVMe drives" in await dialog(app, pilot, Confirm)
        del station.fails["open"]
        await pilot.click("#yes")
        await until(pilot, lambda: ("open", str(BUNDLE), "", "cold") in station.calls)


async def test_a_machine_whose_bundle_is_locked_asks_for_the_passphrase_and_goes_on() -> None:
    station = library()
    station.bundles.locks[BUNDLE] = SECRET
    locked = LockedError(f"{BUNDLE} is encrypted", bundle=str(BUNDLE), hint="unlock it")
    station.fails["start"] = locked
    async with on(station, "crm") as (app, pilot):
        await pilot.press("s")
        assert "is encrypted" in await dialog(app, pilot, UnlockDialog)
        box(app, "secret").value = "wrong horse"
        await pilot.press("enter")
        await until(pilot, lambda: "not the bundle's passphrase" in shown(app))
        box(app, "secret").value = SECRET
        await pilot.press("enter")
        await closed(app, pilot)
        await until(pilot, lambda: ("start", "crm") in station.calls)
        assert "horse" not in shown(app)

"""How each screen and dialog looks, at the size it is designed for and at the smallest."""

import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.fakes.carry import CARD, HERE, STICK, report
from tests.fakes.driving import app_on, ready, settled, shown, until
from tests.fakes.layers import demo_past, screen_of_a_guest
from tests.fakes.machines import library, overcommitted
from tests.fakes.screens import desktop, text_screen
from tests.fakes.workstation import FakeWorkstation
from tests.pictures import Compare
from workstation.core.bundle.estimate import Estimate
from workstation.core.serial.session import Link
from workstation.errors import InvalidError, LaunchError
from workstation.model.events import Activity
from workstation.model.host import Finding, HostFacts, Level
from workstation.model.machine import State
from workstation.ui.app import WorkstationApp
from workstation.ui.dialogs.error import ErrorDialog
from workstation.ui.dialogs.export import ExportDialog
from workstation.ui.dialogs.open import OpenDialog
from workstation.ui.history import HistoryScreen
from workstation.ui.screen.guest import GuestScreen
from workstation.ui.widgets.screen_picture import ScreenPicture

Step = Callable[[WorkstationApp, FakeWorkstation, Pilot[Any]], Awaitable[None]]

SIZES = pytest.mark.parametrize("size", [(100, 30), (80, 24)], ids=["100x30", "80x24"])


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The log's clock shows the same everywhere."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.setdefault("TZ", "")
    if not os.environ["TZ"]:
        del os.environ["TZ"]
    time.tzset()


@pytest.fixture
def looks(looks_as_kept: Compare, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Compare the screen after a step, on a machine, with its picture."""
    monkeypatch.setattr("workstation.ui.library.FOCUS_DELAY", 0.01)

    def check(
        station: FakeWorkstation,
        size: tuple[int, int],
        *keys: str,
        at: str = "",
        step: Step | None = None,
    ) -> None:
        app = app_on(station)

        async def before(pilot: Pilot[Any]) -> None:
            await settled(pilot)
            app.library.go_to(at)
            await ready(lambda: app.library.view is None or app.library.past)
            await pilot.press(*keys)
            if step:
                await step(app, station, pilot)
            for box in app.screen.query(Input):
                box.cursor_blink = False

        assert looks_as_kept(app, size=size, before=before)

    return check


@SIZES
@pytest.mark.parametrize("name", ["sales-demo", "win11", "typo", "kernel-lab"])
def test_library(looks: Callable[..., None], size: tuple[int, int], name: str) -> None:
    looks(library(), size, at=name)


def test_library_on_a_wide_screen(looks: Callable[..., None]) -> None:
    looks(library(), (160, 45), at="sales-demo")


@SIZES
def test_work_and_log(looks: Callable[..., None], size: tuple[int, int]) -> None:
    station = library()
    station.publish(Activity(1, "export sales-demo → STICK", 64e8, 1e10, "B", 2.12e8))
    station.publish(Activity(2, "start crm", cancellable=False))
    looks(station, size, "l", at="sales-demo")


@SIZES
def test_filter(looks: Callable[..., None], size: tuple[int, int]) -> None:
    looks(library(), size, "slash", "l", "a", "b")


@SIZES
def test_first_run(looks: Callable[..., None], size: tuple[int, int]) -> None:
    looks(FakeWorkstation(), size)


@SIZES
def test_no_qemu(looks: Callable[..., None], size: tuple[int, int]) -> None:
    station = FakeWorkstation()
    station.facts = HostFacts(memory=2**34)
    station.doctor = [
        Finding("QEMU", Level.PROBLEM, "QEMU is not installed", "apt install qemu-system-x86")
    ]
    looks(station, size)


def test_looking_for_machines(looks_as_kept: Compare) -> None:
    station = library()
    station.entering.clear()
    assert looks_as_kept(app_on(station), size=(100, 30))


@SIZES
@pytest.mark.parametrize(("name", "key"), [("sales-demo", "F"), ("debian-12", "d")])
def test_confirmation(
    looks: Callable[..., None], size: tuple[int, int], name: str, key: str
) -> None:
    looks(library(), size, key, at=name, step=dialog)


@SIZES
def test_overcommit(looks: Callable[..., None], size: tuple[int, int]) -> None:
    station = library()
    station.fails["overcommit"] = overcommitted("debian-12")
    looks(station, size, "s", at="debian-12", step=dialog)


@SIZES
@pytest.mark.parametrize("key", ["question_mark", "D"], ids=["help", "doctor"])
def test_dialog(looks: Callable[..., None], size: tuple[int, int], key: str) -> None:
    looks(library(), size, key, step=dialog)


@SIZES
def test_error_with_details(looks: Callable[..., None], size: tuple[int, int]) -> None:
    async def details(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
        app.show_error(
            LaunchError(
                "QEMU ended with exit code 1 before it answered",
                hint="the port 8080 is taken: stop what uses it, or change the forward with E",
                details="qemu-system-x86_64: -netdev user,id=net0: Could not set up host"
                " forwarding rule 'tcp:127.0.0.1:8080-:80'",
            )
        )
        await dialog(app, station, pilot)
        await pilot.press("d")

    looks(library(), size, at="debian-12", step=details)


@SIZES
def test_edit_again(looks: Callable[..., None], size: tuple[int, int]) -> None:
    async def failed(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
        error = InvalidError("machine.yaml has 1 problem", details="line 3: memroy: unknown key")
        app.push_screen(ErrorDialog(error, again="Edit again"))
        await dialog(app, station, pilot)

    looks(library(), size, step=failed)


def test_palette(looks: Callable[..., None]) -> None:
    async def listed(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: "Reset demo  (r)" in shown(app))

    looks(library(), (100, 30), "ctrl+p", step=listed)


def test_light_theme(looks: Callable[..., None]) -> None:
    async def light(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
        app.theme = "workstation-light"

    looks(library(), (100, 30), "l", at="sales-demo", step=light)


# -- layers -----------------------------------------------------------------------


@pytest.fixture
def pictured(tmp_path: Path) -> FakeWorkstation:
    """The library; a machine's layers have pictures."""
    station = library()
    station.past.pasts["sales-demo"] = demo_past(screen_of_a_guest(tmp_path))
    return station


@pytest.mark.parametrize("size", [(100, 30), (80, 24), (160, 45)], ids=["100", "80", "160"])
def test_history(
    looks: Callable[..., None], pictured: FakeWorkstation, size: tuple[int, int]
) -> None:
    looks(pictured, size, "h", at="sales-demo", step=history)


@SIZES
def test_history_now(looks: Callable[..., None], size: tuple[int, int]) -> None:
    station = library()
    station.publish(Activity(2, "squash sales-demo golden", 64e6, 1e8, "B", 2.12e8))
    looks(station, size, "h", at="sales-demo", step=above("home"))


@SIZES
@pytest.mark.parametrize(
    "key", ["enter", "b", "d", "s", "e"], ids=["revert", "branch", "delete", "squash", "rename"]
)
def test_history_dialog(
    looks: Callable[..., None], pictured: FakeWorkstation, size: tuple[int, int], key: str
) -> None:
    looks(pictured, size, "h", at="sales-demo", step=above(key))


@SIZES
@pytest.mark.parametrize(
    ("name", "key"),
    [("sales-demo", "t"), ("debian-12", "t"), ("crm", "r"), ("crm", "B")],
    ids=["snapshot-live", "snapshot-off", "reset-without-golden", "cold"],
)
def test_layers_dialog(
    looks: Callable[..., None], size: tuple[int, int], name: str, key: str
) -> None:
    looks(library(), size, key, at=name, step=dialog)


def above(key: str) -> Step:
    """The history, and then what the key brings."""

    async def pressed(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
        await history(app, station, pilot)
        screen = app.screen
        await pilot.press(key)
        if key != "home":
            await until(pilot, lambda: app.screen is not screen)

    return pressed


async def history(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
    await ready(lambda: isinstance(app.screen, HistoryScreen) and app.screen.past)
    screen = app.screen
    assert isinstance(screen, HistoryScreen)
    await ready(lambda: screen.picture.drawn)


async def dialog(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
    await ready(lambda: app.screen is not app.library)


# -- export and open --------------------------------------------------------------


@SIZES
def test_export(looks: Callable[..., None], size: tuple[int, int]) -> None:
    station = library()
    station.sticks.plugged = [STICK, CARD, HERE]
    looks(station, size, "e", at="sales-demo", step=sized)


@SIZES
def test_export_that_does_not_fit(looks: Callable[..., None], size: tuple[int, int]) -> None:
    station = library()
    station.sticks.plugged = [STICK]
    station.sticks.estimates[STICK.path / "debian-12.vmbundle"] = Estimate(
        9 * 2**30, 0,
        trouble="debian-12.vmbundle would have 9 GiB, and a file on STICK (vfat) may have 4 GiB",
        mend="make it smaller (--flatten --compress, --no-memory, --tag), or format the medium with"
        " exFAT, which takes larger files: mkfs.exfat /dev/sdb1 (erases it)",
    )  # fmt: skip
    looks(station, size, "e", at="debian-12", step=sized)


async def sized(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: isinstance(app.screen, ExportDialog) and app.screen.estimated)


@SIZES
@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "stranger"])
def test_open(
    looks: Callable[..., None], size: tuple[int, int], tmp_path: Path, trusted: bool
) -> None:
    station, file = library(), STICK.path / "sales-demo.vmbundle"
    station.sticks.bundles = [file, STICK.path / "shop" / "crm.vmbundle"]
    station.sticks.pictured = screen_of_a_guest(tmp_path)
    station.bundles.reports[file] = report(file, trusted=trusted, problems=not trusted)
    looks(station, size, "o", step=looked)


@SIZES
def test_open_nothing(looks: Callable[..., None], size: tuple[int, int]) -> None:
    looks(library(), size, "o", step=looked)


async def looked(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: isinstance(app.screen, OpenDialog) and app.screen.looked)
    await until(pilot, lambda: app.screen.query_one(ScreenPicture).drawn)


@SIZES
@pytest.mark.parametrize("kind", ["text", "picture", "menu", "off"])
def test_guest_screen(looks: Callable[..., None], size: tuple[int, int], kind: str) -> None:
    station = library()
    lines = (
        "Debian_GNU/Linux_12_sales-demo_tty1",
        "",
        "sales-demo_login:_root",
        "root@sales-demo:~#",
    )
    canvas = desktop() if kind in ("picture", "menu") else text_screen(*lines, cursor=19)
    station.screens.canvases["sales-demo"] = canvas

    async def drawn(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
        await ready(lambda: isinstance(app.screen, GuestScreen))
        await until(pilot, lambda: "▀" in shown(app) or "sales-demo_login" in shown(app))
        if kind == "off":
            station.change("sales-demo", state=State.OFF)
            await until(pilot, lambda: "Enter starts it" in shown(app))
        if kind == "menu":
            await pilot.press("ctrl+backslash")
            await until(pilot, lambda: "ctrl+alt+del" in shown(app))

    looks(station, size, "g", at="sales-demo", step=drawn)


@SIZES
def test_library_with_a_live_screen(looks: Callable[..., None], size: tuple[int, int]) -> None:
    station = library()
    station.screens.canvases["sales-demo"] = desktop()

    async def drawn(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: "▀" in shown(app))

    looks(station, size, at="sales-demo", step=drawn)


async def _console(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: "sales-demo" in station.sessions)
    await station.sessions["sales-demo"].begun.wait()
    await until(pilot, lambda: "uptime" in shown(app))


COLOURS = (
    "\r\n\x1b[2J\x1b[H"
    + "".join(
        f"\x1b[3{n}m{n} dark \x1b[9{n}mbright \x1b[0;4{n}m back \x1b[0m\r\n" for n in range(8)
    )
    + "".join(f"\x1b[{n}mstyle {n}\x1b[0m " for n in (1, 2, 3, 4, 7, 8, 9))
    + "\r\n"
    + "".join(f"\x1b[48;2;{n * 6};80;{255 - n * 6}m " for n in range(40))
    + "\x1b[0m\r\n漢字 kana かな e\u0301 \x1b(0lqqk\x1b(B\r\n$ "
)


@SIZES
def test_console(looks: Callable[..., None], size: tuple[int, int]) -> None:
    async def step(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
        await _console(app, station, pilot)
        await station.sessions["sales-demo"].print(COLOURS.encode())
        await until(pilot, lambda: "kana" in shown(app))

    looks(library(), size, "c", at="sales-demo", step=step)


@SIZES
def test_console_menu(looks: Callable[..., None], size: tuple[int, int]) -> None:
    async def step(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
        await _console(app, station, pilot)
        await pilot.press("ctrl+backslash")
        await until(pilot, lambda: "Leave" in shown(app))

    looks(library(), size, "c", at="sales-demo", step=step)


@SIZES
def test_console_looking_back(looks: Callable[..., None], size: tuple[int, int]) -> None:
    async def step(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
        await _console(app, station, pilot)
        lines = "".join(f"\r\nline {number}" for number in range(200))
        await station.sessions["sales-demo"].print(lines.encode())
        await pilot.press("ctrl+backslash", "slash", *"line 13", "enter")
        await until(pilot, lambda: "looking back" in shown(app))

    looks(library(), size, "c", at="sales-demo", step=step)


@SIZES
def test_console_of_a_machine_that_has_ended(
    looks: Callable[..., None], size: tuple[int, int]
) -> None:
    async def step(app: WorkstationApp, station: FakeWorkstation, pilot: Pilot[Any]) -> None:
        await _console(app, station, pilot)
        station.change("sales-demo", state=State.OFF)
        station.sessions["sales-demo"].turn(Link.OFF)
        await until(pilot, lambda: "enter starts it" in shown(app))

    looks(library(), size, "c", at="sales-demo", step=step)

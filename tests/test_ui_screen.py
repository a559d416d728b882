"""A guest's screen in the terminal: what is drawn, and what becomes of keys and mouse."""

from typing import Any, cast

import pytest
from textual import events
from textual.pilot import Pilot

from tests.fakes.driving import opened, ready, shown, until
from tests.fakes.machines import library
from tests.fakes.screens import FakeLook, desktop, text_screen
from tests.fakes.workstation import FakeWorkstation
from workstation.core.screen.layouts import pressed, typed
from workstation.core.screen.look import Box, Canvas, Cursor
from workstation.model.machine import State
from workstation.model.profile import Profile
from workstation.ui.app import WorkstationApp
from workstation.ui.dialogs.help import HelpDialog
from workstation.ui.screen.guest import GuestScreen
from workstation.ui.screen.pointer import Pointer
from workstation.ui.screen.view import GuestView
from workstation.ui.widgets.thumbnail import Thumbnail

LINES = ("Welcome", "login:_root", "#_ls")


def station(canvas: Any = None) -> FakeWorkstation:
    made = library()
    made.screens.canvases["sales-demo"] = canvas or text_screen(*LINES, cursor=3)
    return made


async def enter(app: WorkstationApp, pilot: Pilot[Any]) -> tuple[GuestScreen, FakeLook]:
    """Open the screen of the demo."""
    app.library.go_to("sales-demo")
    await pilot.press("g")
    await until(pilot, lambda: isinstance(app.screen, GuestScreen) and app.screen.look)
    screen = cast(GuestScreen, app.screen)
    look = cast(FakeLook, screen.look)
    await ready(lambda: look.followed)
    await pilot.pause()
    return screen, look


# -- drawing ------------------------------------------------------------------


async def test_a_text_screen_is_shown_as_text() -> None:
    async with opened(station()) as (app, pilot):
        screen, look = await enter(app, pilot)
        await until(pilot, lambda: "login:_root" in shown(app))
        assert "text" in str(screen.status.lines[0])
        look.paint(text_screen("Goodbye"))
        await until(pilot, lambda: "Goodbye" in shown(app) and "Welcome" not in shown(app))


async def test_a_picture_is_shown_in_half_blocks_and_a_text_that_follows_as_text() -> None:
    async with opened(station(desktop())) as (app, pilot):
        screen, look = await enter(app, pilot)
        await until(pilot, lambda: shown(app).count("▀") > 1500)
        look.paint(text_screen("Text_now"))
        await until(pilot, lambda: "Text_now" in shown(app))
        look.paint(desktop())
        await until(pilot, lambda: shown(app).count("▀") > 1500)
        await pilot.press("ctrl+backslash", "x")
        look.paint(text_screen("Text_now"))
        await until(pilot, lambda: "640×400" not in shown(app))
        assert "Text_now" not in shown(app), "switched off in the menu"
        assert not screen.guest.drawing.reading


async def test_only_the_rows_that_changed_are_drawn_again() -> None:
    canvas = desktop()
    async with opened(station(canvas)) as (app, pilot):
        screen, look = await enter(app, pilot)
        await until(pilot, lambda: "▀" in shown(app))
        before = list(screen.guest.drawing.strips)
        again = desktop()
        again.put(canvas.box._replace(bottom=20), bytes(640 * 20 * 4))
        look.paint(again)
        await until(pilot, lambda: screen.guest.drawing.strips[0] is not before[0])
        same = [a is b for a, b in zip(before, screen.guest.drawing.strips, strict=True)]
        assert same.count(False) <= 3
        assert not same[0]


async def test_a_machine_that_is_off_says_so_and_is_started_by_enter() -> None:
    made = station()
    async with opened(made) as (app, pilot):
        await enter(app, pilot)
        made.change("sales-demo", state=State.OFF)
        await until(pilot, lambda: "sales-demo is off" in shown(app))
        assert "Enter starts it" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: "login:_root" in shown(app))
        assert ("start", "sales-demo") in made.calls


async def test_a_machine_without_a_display_points_to_its_console() -> None:
    made = station()
    headless = Profile.model_validate({"name": "x", "display": {"adapter": "none"}})
    made.change("sales-demo", profile=headless)
    async with opened(made) as (app, pilot):
        app.library.go_to("sales-demo")
        await pilot.press("g")
        await until(pilot, lambda: "has no display" in shown(app))
        assert "workstation console sales-demo" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.library)


# -- keys ---------------------------------------------------------------------


async def test_keys_go_to_the_guest_also_those_of_the_program() -> None:
    async with opened(station()) as (app, pilot):
        _, look = await enter(app, pilot)
        await pilot.press("a", "A", "at", "enter", "ctrl+c", "ctrl+q", "ctrl+p", "f1", "tab")
        await pilot.press("alt+f", "escape", "q", "question_mark", "shift+up", "space")
        expected = [
            *typed("aA@\n", "us"),
            *(stroke for chord in ("ctrl-c", "ctrl-q", "ctrl-p", "f1", "tab", "alt-f", "esc")
              for stroke in pressed(chord, "us")),
            *typed("q?", "us"), *pressed("shift-up", "us"), *typed(" ", "us"),
        ]  # fmt: skip
        await until(pilot, lambda: len(look.strokes) >= len(expected))
        assert look.strokes == expected
        assert isinstance(app.screen, GuestScreen)


async def test_what_is_typed_in_one_go_after_the_key_that_leaves_is_not_the_guests() -> None:
    async with opened(station()) as (app, pilot):
        screen, look = await enter(app, pilot)
        for key in ("ctrl+right_square_bracket", *"exit" * 10, "ctrl+right_square_bracket"):
            app.simulate_key(key)
        await until(pilot, lambda: app.screen is not screen)
        assert look.strokes == []


async def test_the_key_that_leaves_is_shown_and_leaves() -> None:
    async with opened(station()) as (app, pilot):
        _, look = await enter(app, pilot)
        assert "ctrl+] leave" in shown(app)
        await pilot.press("ctrl+right_square_bracket")
        await until(pilot, lambda: app.screen is app.library)
        await ready(lambda: not look.followed)
        assert look.strokes == []


async def test_the_settings_name_other_keys() -> None:
    made = station()
    made.settings = made.settings.model_copy(update={"leave_key": "f12", "menu_key": "ctrl+g"})
    async with opened(made) as (app, pilot):
        _, look = await enter(app, pilot)
        assert "f12 leave" in shown(app)
        await pilot.press("ctrl+right_square_bracket")
        await until(pilot, lambda: look.strokes == pressed("ctrl-]", "us"))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: "ctrl+alt+del" in shown(app))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: look.strokes[4:] == pressed("ctrl-g", "us"))
        await pilot.press("f12")
        await until(pilot, lambda: app.screen is app.library)


@pytest.mark.parametrize(
    ("key", "chord"),
    [("d", "ctrl-alt-del"), ("f2", "ctrl-alt-f2"), ("p", "print"), ("w", "super"),
     ("1", "ctrl-]"), ("2", "ctrl-\\")],
)  # fmt: skip
async def test_the_menu_types_what_a_terminal_cannot(key: str, chord: str) -> None:
    async with opened(station()) as (app, pilot):
        _, look = await enter(app, pilot)
        await pilot.press("ctrl+backslash")
        await until(pilot, lambda: "ctrl+alt+del" in shown(app))
        await pilot.press(key)
        await until(pilot, lambda: look.strokes == pressed(chord, "us"))


async def test_the_menu_leaves_and_explains_by_the_keys_of_the_other_screens() -> None:
    async with opened(station()) as (app, pilot):
        _, look = await enter(app, pilot)
        await pilot.press("ctrl+backslash", "question_mark")
        await until(pilot, lambda: "tablet" in shown(app))
        assert "The guest stands still" in shown(app)
        await pilot.press("escape", "ctrl+backslash", "q")
        await until(pilot, lambda: app.screen is app.library)
        assert look.strokes == []


async def test_modifiers_are_held_for_one_key() -> None:
    async with opened(station()) as (app, pilot):
        _, look = await enter(app, pilot)
        await pilot.press("ctrl+backslash", "c", "ctrl+backslash", "u")
        await until(pilot, lambda: "ctrl+super+" in shown(app))
        await pilot.press("e", "e")
        expected = pressed("ctrl-super-e", "us") + typed("e", "us")
        await until(pilot, lambda: look.strokes == expected)
        assert "ctrl+super+" not in shown(app)


async def test_what_is_pasted_is_typed_and_what_cannot_be_is_told() -> None:
    async with opened(station()) as (app, pilot):
        screen, look = await enter(app, pilot)
        screen.guest.post_message(events.Paste("Hi\nthere"))
        await until(pilot, lambda: look.strokes == typed("Hi\nthere", "us"))
        screen.guest.post_message(events.Paste("Straße"))
        await until(pilot, lambda: "has no “ß”" in shown(app))
        assert look.strokes == typed("Hi\nthere", "us")


async def test_with_the_grab_let_go_keys_look_around() -> None:
    async with opened(station(desktop(1280, 800))) as (app, pilot):
        screen, look = await enter(app, pilot)
        await pilot.press("ctrl+backslash", "g")
        await until(pilot, lambda: "arrows move" in shown(app))
        await pilot.press("z", "z")
        await until(pilot, lambda: "100%" in shown(app))
        window = screen.guest.drawing.window
        assert window
        assert (window.scale, window.left, window.width) == (1.0, 0, 100)
        await pilot.press("right", "down")
        window = screen.guest.drawing.window
        assert window and (window.left, window.top) == (25, 14.5)
        await pilot.press("q")
        await until(pilot, lambda: app.screen is app.library)
        assert look.strokes == []


# -- mouse --------------------------------------------------------------------


async def test_the_mouse_points_into_the_picture() -> None:
    async with opened(station(desktop(1000, 500))) as (app, pilot):
        _, look = await enter(app, pilot)
        # 100x29 cells are 100x58 pixels, of which the picture takes 100x50.
        await pilot.hover(GuestView, offset=(50, 14))
        await until(pilot, lambda: look.points)
        x, y, buttons = look.points[-1]
        assert (x, buttons) == (505, 0)
        assert y == pytest.approx(250, abs=10)
        await pilot.mouse_down(GuestView, offset=(10, 14))
        await pilot.mouse_up(GuestView, offset=(12, 14))
        await until(pilot, lambda: look.points[-1][:1] == (125,))
        assert [point[2] for point in look.points][-2:] == [1, 0]
        assert (105, 1) in [(point[0], point[2]) for point in look.points]


async def test_the_wheel_and_pixels_of_the_terminal() -> None:
    async with opened(station(desktop(1000, 500))) as (app, pilot):
        screen, look = await enter(app, pilot)

        def scrolled(x: float) -> events.MouseScrollUp:
            return events.MouseScrollUp(screen.guest, x, 14.0, 0, 0, 0, False, False, False)

        screen.guest.post_message(scrolled(20.25))
        await until(pilot, lambda: len(look.points) >= 2)
        assert [point[2] for point in look.points[-2:]] == [8, 0]
        assert look.points[-1][0] == 202, "a quarter of a cell is two pixels of the guest"


# -- the guest's own pointer ---------------------------------------------------

RED = bytes((255, 0, 0, 255))


async def test_the_guests_own_pointer_is_seen_where_the_mouse_is_and_only_there() -> None:
    canvas = Canvas(1000, 500)  # black
    canvas.put(Box(0, 0, 1000, 10), bytes((0, 0, 255, 0)) * 10_000)
    before = bytes(canvas.data)
    async with opened(station(canvas)) as (app, pilot):
        screen, look = await enter(app, pilot)
        drawing = screen.guest.drawing

        def reds() -> list[tuple[int, int]]:
            image = drawing._halves._scaled.image
            assert image
            red = image.split()[0]
            found = [place for place in range(100 * 50) if red.tobytes()[place] > 200]
            return [(place % 100, place // 100) for place in found]

        await until(pilot, lambda: shown(app).count("▀") > 1000)
        look.shape = Cursor(20, 20, 0, 0, RED * 400)
        await pilot.hover(GuestView, offset=(50, 14))
        await until(pilot, lambda: (51, 26) in reds())
        first = reds()
        await pilot.hover(GuestView, offset=(20, 8))
        await until(pilot, lambda: reds() and not set(reds()) & set(first))
        assert len(reds()) <= 9
        look._absolute = False  # nobody knows where it is
        look.paint(canvas)
        await until(pilot, lambda: "by steps" in shown(app))
        assert reds() == []
        assert bytes(canvas.data) == before, "what the guest has painted is as it was"


def test_a_pointer_beyond_the_edges_is_cut_off() -> None:
    canvas = Canvas(40, 30)
    look: Any = FakeLook(library(), "sales-demo", canvas)
    pointer = Pointer()
    look.shape = Cursor(10, 10, 5, 5, RED * 50 + bytes(200))
    for place, box in (
        ((0, 0), Box(0, 0, 5, 5)), ((39, 29), Box(34, 24, 40, 30)), ((39, 0), Box(34, 0, 40, 5)),
        ((20, 15), Box(15, 10, 25, 20)),
    ):  # fmt: skip
        look.pointer = place
        with pointer.on(look) as moved:
            assert moved[-1] == box
            inside = canvas.pixel(box.left, box.top)
            # The upper half of it is red, the lower half cannot be seen.
            assert inside == ((255, 0, 0) if place[1] - 5 + 5 > box.top or place[1] == 15
                              else (0, 0, 0))  # fmt: skip
        assert not any(canvas.data)
        with pointer.on(look) as moved:
            assert moved == [], "where it was"
    look.pointer = (200, 200)
    with pointer.on(look) as moved:
        assert moved == [Box(15, 10, 25, 20)], "gone from there"
        assert not any(canvas.data)


# -- the library --------------------------------------------------------------


async def test_the_library_shows_the_live_screen_of_the_selected_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workstation.ui.library.FOCUS_DELAY", 0.01)
    monkeypatch.setattr("workstation.ui.widgets.thumbnail.PERIOD", 0.01)
    made = station()
    async with opened(made) as (app, pilot):
        app.library.go_to("sales-demo")
        await until(pilot, lambda: "login:_root" in shown(app))
        assert app.library.query_one(Thumbnail).border_title == "screen"
        look = made.screens.looks[-1]
        look.paint(text_screen("Other_text"))
        await until(pilot, lambda: "Other_text" in shown(app))
        await pilot.press("h")
        await ready(lambda: not look.followed)
        await pilot.press("escape")
        await until(pilot, lambda: "login:_root" in shown(app))
        app.library.go_to("kernel-lab")  # no picture comes: its serial line is shown
        await until(pilot, lambda: "uptime" in shown(app))
        await ready(lambda: not made.screens.looks[-2].followed)


async def test_the_picture_stays_while_a_dialog_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workstation.ui.library.FOCUS_DELAY", 0.01)
    monkeypatch.setattr("workstation.ui.widgets.thumbnail.PERIOD", 0.01)
    made = station()
    async with opened(made) as (app, pilot):
        app.library.go_to("sales-demo")
        await until(pilot, lambda: "login:_root" in shown(app))
        look = made.screens.looks[-1]
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpDialog))
        await pilot.pause()
        thumbnail = app.library.query_one(Thumbnail)
        assert look.followed
        assert thumbnail.look is look
        look.paint(text_screen("Meanwhile"))
        await until(pilot, lambda: "Meanwhile" in look.text.text())
        assert thumbnail.display and thumbnail.shows
        await pilot.press("escape")
        await until(pilot, lambda: "Meanwhile" in shown(app))
        assert made.screens.looks[-1] is look, "it was never let go"

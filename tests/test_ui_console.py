"""The console's screen: keys, menu, looking back, mouse, and what a hostile guest cannot do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.fakes.driving import opened, shown, until
from tests.fakes.machines import library
from tests.fakes.session import FakeSession
from tests.fakes.workstation import FakeWorkstation
from workstation.core.serial.session import Link
from workstation.model.events import MachineRemoved
from workstation.model.machine import State
from workstation.model.settings import Settings
from workstation.ui.app import WorkstationApp
from workstation.ui.console.screen import ConsoleScreen
from workstation.ui.console.view import TerminalView
from workstation.ui.dialogs.help import HelpDialog

LEAVE, MENU = "ctrl+right_square_bracket", "ctrl+backslash"


class At(NamedTuple):
    """The console, opened."""

    app: WorkstationApp
    pilot: Pilot[None]
    screen: ConsoleScreen
    guest: FakeSession
    station: FakeWorkstation

    async def prints(self, text: str, last: str = "") -> None:
        """The guest prints, and that is on the screen."""
        await self.guest.print(text.encode())
        await self.sees(last or text)

    async def sees(self, text: str) -> None:
        await until(self.pilot, lambda: text in shown(self.app))

    async def types(self, *keys: str) -> bytes:
        """Press them; what the guest was sent."""
        self.guest.sent = b""
        await self.pilot.press(*keys)
        await self.pilot.pause()
        return self.guest.sent

    @property
    def terminal(self) -> TerminalView:
        return self.screen.terminal


@asynccontextmanager
async def console(
    station: FakeWorkstation | None = None,
    name: str = "sales-demo",
    size: tuple[int, int] = (80, 24),
) -> AsyncIterator[At]:
    station = station or library()
    async with opened(station, size) as (app, pilot):
        app.library.go_to(name)
        await pilot.press("c")
        await until(
            pilot, lambda: isinstance(app.screen, ConsoleScreen) and name in station.sessions
        )
        guest = station.sessions[name]
        await guest.begun.wait()
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, ConsoleScreen)
        yield At(app, pilot, screen, guest, station)


# -- keys ---------------------------------------------------------------------------


async def test_what_was_printed_before_is_there_and_what_comes_follows() -> None:
    async with console() as at:
        await at.sees("uptime")
        await at.sees("sales-demo  ● running")
        await at.prints("more", "/ # more")


async def test_all_keys_but_two_are_the_guests() -> None:
    async with console() as at:
        keys = (
            "l",
            "s",
            "enter",
            "ctrl+c",
            "ctrl+q",
            "ctrl+p",
            "tab",
            "escape",
            "up",
            "f1",
            "q",
            "?",
        )
        sent = await at.types(*keys)
        assert sent == b"ls\r\x03\x11\x10\t\x1b\x1b[A\x1bOPq?"
        assert at.app.screen is at.screen


async def test_what_is_typed_in_one_go_after_the_key_that_leaves_is_not_the_guests() -> None:
    async with console() as at:
        at.guest.sent = b""
        for key in (LEAVE, *"exit" * 10):
            at.app.simulate_key(key)
        await until(at.pilot, lambda: at.app.screen is not at.screen)
        assert at.guest.sent == b""


async def test_the_key_that_leaves_leaves_and_the_guest_goes_on() -> None:
    async with console() as at:
        await at.sees("ctrl+] leave")
        assert await at.types(LEAVE) == b""
        await until(at.pilot, lambda: at.app.screen is at.app.library)
        assert ("kill", "sales-demo") not in at.station.calls
        assert not at.station.calls


async def test_the_keys_that_are_ours_can_be_others() -> None:
    station = library()
    station.settings = Settings(leave_key="f10", menu_key="ctrl+t")
    async with console(station) as at:
        await at.sees("ctrl+t menu")
        await at.sees("f10 leave")
        assert await at.types(LEAVE, MENU) == b"\x1d\x1c"
        await at.types("ctrl+t")
        await at.sees("q Leave")
        await at.types("escape", "f10")
        await until(at.pilot, lambda: at.app.screen is at.app.library)


# -- the menu -----------------------------------------------------------------------


async def test_the_menu_shows_what_else_can_be_done_for_one_key() -> None:
    async with console() as at:
        assert await at.types(MENU) == b""
        await at.sees("/ Search")
        assert await at.types("escape") == b""
        await at.sees("ctrl+] leave")
        assert await at.types("x") == b"x"
        await at.types(MENU, "f9", "y")
        assert at.guest.sent == b"y"
        await at.types(MENU, "q")
        await until(at.pilot, lambda: at.app.screen is at.app.library)


async def test_after_the_menu_key_ours_go_to_the_guest() -> None:
    async with console() as at:
        assert await at.types(MENU, MENU) == b"\x1c"
        assert await at.types(MENU, LEAVE) == b"\x1d"
        assert at.app.screen is at.screen


async def test_the_machines_own_commands_are_in_the_menu() -> None:
    async with console() as at:
        await at.types(MENU, "p")
        await until(at.pilot, lambda: ("pause", "sales-demo") in at.station.calls)
        await at.sees("paused")


async def test_help_and_palette_know_the_consoles_commands() -> None:
    async with console(size=(100, 40)) as at:
        await at.types(MENU, "question_mark")
        await until(at.pilot, lambda: isinstance(at.app.screen, HelpDialog))
        assert "What you type goes to the guest" in shown(at.app)
        await at.types("escape", MENU, "ctrl+p")
        await at.sees("Set size")


async def test_a_command_can_be_clicked() -> None:
    async with console(size=(100, 30)) as at:
        await at.types(MENU)
        await at.sees("q Leave")
        await at.pilot.click("ConsoleScreen Footer", offset=(3, 0))
        await until(at.pilot, lambda: at.app.screen is at.app.library)


# -- states of the line -----------------------------------------------------------------


async def test_a_machine_that_ends_is_said_to_be_off_and_enter_starts_it() -> None:
    async with console() as at:
        at.station.change("sales-demo", state=State.OFF)
        at.guest.turn(Link.OFF)
        await at.sees("○ off")
        await at.sees("enter starts it")
        await at.types("enter")
        await until(at.pilot, lambda: ("start", "sales-demo") in at.station.calls)
        at.guest.turn(Link.OPEN, anew=False)
        await at.sees("── sales-demo starts ──")
        assert await at.types("x") == b"x"


async def test_after_a_revert_it_goes_on() -> None:
    async with console() as at:
        await at.prints("\x1b[?1049hin vi", "in vi")
        at.guest.turn(Link.OPEN, anew=True)
        await at.sees("── sales-demo goes on from a snapshot ──")
        assert "uptime" in shown(at.app)


async def test_where_another_console_has_the_line_nothing_is_typed() -> None:
    async with console() as at:
        at.guest.turn(Link.TAKEN)
        await at.sees("read only: another console")
        assert await at.types("x", "enter") == b""
        await at.prints("what the other one sees")


async def test_what_is_typed_while_it_connects_is_not_lost() -> None:
    async with console() as at:
        at.guest.turn(Link.CONNECTING)
        assert await at.types("l", "s") == b""
        at.guest.turn(Link.OPEN)
        assert at.guest.sent == b"ls"


async def test_a_machine_that_is_deleted_leaves() -> None:
    async with console() as at:
        at.station.publish(MachineRemoved("sales-demo"))
        await until(at.pilot, lambda: at.app.screen is at.app.library)


async def test_a_machine_that_is_deleted_while_a_dialog_hides_it_leaves_after_the_dialog() -> None:
    async with console() as at:
        await at.pilot.press(MENU, "question_mark")
        await until(at.pilot, lambda: isinstance(at.app.screen, HelpDialog))
        at.station.publish(MachineRemoved("sales-demo"))
        await at.pilot.pause()
        assert isinstance(at.app.screen, HelpDialog)
        await at.pilot.press("escape")
        await until(at.pilot, lambda: at.app.screen is at.app.library)


# -- looking back ---------------------------------------------------------------------


async def test_looking_back_holds_still_while_the_guest_goes_on() -> None:
    async with console() as at:
        await at.prints("".join(f"\r\nline {number}" for number in range(100)), "line 99")
        await at.types("shift+pageup")
        await at.sees("looking back 22 rows")
        assert "line 99" not in shown(at.app)
        before = shown(at.app).splitlines()[:23]
        await at.guest.print(b"\r\nmore of it" * 50)
        await at.pilot.pause()
        assert shown(at.app).splitlines()[:23] == before
        assert await at.types("x") == b"x"
        await at.sees("more of it")


async def test_scrolling_down_to_the_end_goes_on() -> None:
    async with console() as at:
        await at.prints("".join(f"\r\nline {number}" for number in range(100)), "line 99")
        await at.types("shift+pageup", "shift+pageup", "shift+pagedown", "shift+pagedown")
        assert at.terminal.look is None
        await at.types(MENU, "b", "home")
        assert "sales-demo login" in shown(at.app) or "virtio_blk" in shown(at.app)
        await at.types("escape")
        await at.sees("line 99")


async def test_search_finds_upwards_and_goes_on() -> None:
    async with console() as at:
        await at.prints("".join(f"\r\nneedle {number}" for number in range(100)), "needle 99")
        await at.types(MENU, "slash")
        await until(at.pilot, lambda: isinstance(at.app.focused, Input))
        await at.types(*"Needle 4x", "backspace", "enter")
        await at.sees("is not found above")
        await at.types("slash", *("backspace",) * 9, *"needle 4", "enter")
        found = at.terminal.look and at.terminal.look.found
        assert found
        assert "needle 49" in shown(at.app)
        first = found.first.row
        await at.types("n")
        assert at.terminal.look
        assert at.terminal.look.found
        assert at.terminal.look.found.first.row == first - 1
        await at.types("N")
        assert at.terminal.look.found.first.row == first
        await at.types("y")
        assert at.terminal.look is None


# -- marking, copying, pasting ----------------------------------------------------------


async def test_what_is_dragged_over_is_marked_and_copied_when_asked() -> None:
    async with console() as at:
        await at.prints("\x1b[2J\x1b[Hone two\r\nthree four\x1b[K", "three four")
        await at.pilot.mouse_down(TerminalView, offset=(4, 0))
        await at.pilot.hover(TerminalView, offset=(4, 1))
        await drag(at, (4, 1))
        assert at.terminal.look
        assert at.terminal.look.text() == "two\nthree"
        assert at.app.clipboard == ""
        await at.types(MENU, "c")
        assert at.app.clipboard == "two\nthree"
        assert at.terminal.look is None
        assert await at.types(MENU, "v") == b"two\rthree"


async def drag(at: At, to: tuple[int, int]) -> None:
    """Move there with the button down, and let it go."""
    from textual import events

    terminal = at.terminal
    x, y = to
    event = events.MouseMove(terminal, x, y, 0, 0, 1, False, False, False, x, y)
    terminal.on_mouse_move(event)
    await at.pilot.mouse_up(TerminalView, offset=to)
    await at.pilot.pause()


async def test_nothing_marked_copies_the_screen() -> None:
    async with console() as at:
        await at.prints("\x1b[2J\x1b[Hjust this   \r\n\r\nand that", "and that")
        await at.types(MENU, "c")
        assert at.app.clipboard == "just this\n\nand that"


async def test_a_paste_is_bracketed_where_the_guest_has_asked() -> None:
    async with console() as at:
        at.terminal.paste("a\nb")
        assert at.guest.sent == b"a\rb"
        await at.prints("\x1b[?2004hready", "ready")
        at.guest.sent = b""
        at.terminal.paste("a\nb\x1b[201~")
        assert at.guest.sent == b"\x1b[200~a\rb [201~\x1b[201~"


async def test_the_mouse_is_the_guests_where_it_has_asked() -> None:
    async with console() as at:
        await at.prints("\x1b[?1000h\x1b[?1006hmouse", "mouse")
        await at.pilot.click(TerminalView, offset=(5, 3))
        assert at.guest.sent == b"\x1b[<0;6;4M\x1b[<0;6;4m"
        assert at.terminal.look is None


# -- size, bell, title ------------------------------------------------------------------


async def test_the_terminal_is_as_large_as_its_place_and_follows_it() -> None:
    async with console() as at:
        assert (at.terminal.emulator.columns, at.terminal.emulator.rows) == (80, 23)
        await at.sees("80x23")
        await at.pilot.resize_terminal(100, 30)
        await at.sees("100x29")
        await at.guest.print(b"\x1b[18t")
        assert at.guest.sent.endswith(b"\x1b[8;29;100t")


async def test_the_guest_is_told_its_size_when_asked() -> None:
    async with console() as at:
        assert await at.types(MENU, "z") == b"stty rows 23 cols 80\r"


async def test_the_guest_follows_by_itself_where_its_agent_can_tell_it() -> None:
    async with console() as at:
        at.guest.has_agent = True
        await at.pilot.resize_terminal(100, 30)
        await at.pilot.resize_terminal(90, 20)
        await until(at.pilot, lambda: at.guest.sizes)
        assert at.guest.sizes == [(90, 19)]
        assert await at.types(MENU, "z") == b""
        assert at.guest.sizes == [(90, 19)] * 2
        await at.sees("the guest knows: 90x19")


async def test_bells_are_passed_on_and_titles_shown_safely(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console(size=(130, 30)) as at:
        rung = []
        monkeypatch.setattr(at.app, "bell", lambda: rung.append(1))
        await at.prints("\x1b]0;vi \u202egnp.exe [@click=app.quit]x[/]\x07\a\a\aend", "end")
        await at.sees("vi \ufffdgnp.exe [@click=app.quit]x[/]")
        assert len(rung) == 1


async def test_a_guest_upset_the_terminal_and_it_is_restored() -> None:
    async with console() as at:
        await at.prints("\x1b(0\x1b[?25llqk", "┌─┐")
        await at.types(MENU, "X")
        await at.prints("lqk")


async def test_half_a_change_is_not_painted_and_an_endless_one_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with console() as at:
        await at.guest.print(b"\x1b[2J\x1b[H\x1b[?2026hhalf")
        await at.sees("half")  # after a while, for a guest that never ends it


# -- hostile guests ---------------------------------------------------------------------


async def test_text_of_a_guest_reaches_the_screen_as_text_only() -> None:
    hostile = (
        "a\x1b]52;c;ZXZpbA==\x07b\x9b31mc\u202ed\u2066e\x9dx\x07[@click=app.quit]g[/]\x90q\x9c"
    )
    async with console(size=(100, 30)) as at:
        await at.prints(hostile + "\x1b]0;" + hostile, "abc")
        for character in "\x1b\x07\x9b\x00\u202e\u2066\x9d\x90":
            assert character not in shown(at.app)
        assert at.app.clipboard == ""


async def test_a_flood_leaves_the_keyboard_alive() -> None:
    async with console() as at:

        async def flood() -> None:
            while True:
                await at.guest.print(b"\x1b[32myes\x1b[0m \x1b[88;1;1;999;999$x\r\n" * 500)
                await asyncio.sleep(0)

        flooding = asyncio.create_task(flood())
        await at.pilot._wait_for_screen()
        at.guest.sent = b""
        at.app.simulate_key("x")
        async with asyncio.timeout(20):
            while b"x" not in at.guest.sent:  # noqa: ASYNC110
                await asyncio.sleep(0)
        at.app.simulate_key(LEAVE)
        async with asyncio.timeout(20):
            while at.app.screen is at.screen:  # noqa: ASYNC110
                await asyncio.sleep(0)
        flooding.cancel()
        await asyncio.wait({flooding})

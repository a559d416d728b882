"""A guest's graphical screen, full size, with its keyboard and mouse."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.content import Content

from workstation.errors import UsageError, WorkstationError
from workstation.model.text import safe_line
from workstation.ui.desk import Desk
from workstation.ui.dialogs.guest_menu import Menu, items
from workstation.ui.dialogs.help import HelpDialog
from workstation.ui.guest_keys import textual_key
from workstation.ui.looks import LOOKS, PANIC, PROBLEM
from workstation.ui.looks import Look as Sign
from workstation.ui.screen.graphics import graphics_of
from workstation.ui.screen.keys import chord_of, typed_by
from workstation.ui.screen.status import left_of, right_of
from workstation.ui.screen.terminal import Drain
from workstation.ui.screen.view import GuestView
from workstation.ui.widgets.lines import Bar

if TYPE_CHECKING:
    from workstation.core.screen.look import Look
    from workstation.core.workstation import Workstation
    from workstation.model.machine import MachineView

FRAME = 1 / 50
"""Seconds between two frames at least."""

PANS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
ZOOM_WORDS = {0.0: "fit", 0.5: "1:2", 1.0: "1:1"}


class GuestScreen(Desk):
    """Follows the machine through restarts; leaving it never touches the guest."""

    CSS_PATH = "guest.tcss"
    AUTO_FOCUS = "GuestView"
    BINDINGS: ClassVar = []
    introduction = (
        "Keys and mouse go to the guest, but for two keys that the line at the bottom names."
        " One leaves. The other opens the menu, with what a terminal cannot type; pressed twice,"
        " it goes to the guest itself. “Mouse moves by steps”: the guest has no driver for a"
        " tablet, and its pointer may go further or less far than yours. With the keyboard let go,"
        " by g in the menu, arrows move the view and z zooms. Leaving never stops the guest."
    )

    guest = getters.query_one(GuestView)
    status = getters.query_one("#guest-status", Bar)

    def __init__(self, station: Workstation, name: str) -> None:
        super().__init__()
        self.station: Workstation = station
        self.machine = name
        self._leave_key = textual_key(station.settings.leave_key)
        self._menu_key = textual_key(station.settings.menu_key)
        self.held: set[str] = set()
        """Modifiers that the next key goes with."""
        self.look: Look | None = None
        self._drain: Drain | None = None

    @property
    def view(self) -> MachineView | None:
        return self.station.machines.get(self.machine)

    def signs(self) -> Iterable[Sign]:
        return (*LOOKS.values(), PANIC, PROBLEM)

    def compose(self) -> ComposeResult:
        yield GuestView()
        yield Bar(id="guest-status")

    def on_mount(self) -> None:
        self._drain = self.program.drain = Drain(self.app)
        self.show_again()
        self._follow()

    # -- looking ------------------------------------------------------------

    @work(group="guest", exclusive=True)
    async def _follow(self) -> None:
        """Frame by frame, as fast as the terminal takes them."""
        try:
            look = self.look = self.guest.look = self.station.screens.look(self.machine)
        except WorkstationError as error:
            self._say(str(error), error.hint)
            return
        wanted = self.station.settings.graphics
        self.guest.drawing.pixels = await graphics_of(self.app, wanted)
        clock = asyncio.get_running_loop().time
        async with aclosing(look.frames()) as frames:
            async for damage in frames:
                begun = clock()
                if look.canvas:
                    self.guest.draw(damage)
                else:
                    self._say_why_not(look)
                self.show_again()
                await self._painted()
                await asyncio.sleep(max(0.0, FRAME - (clock() - begun)))

    async def _painted(self) -> None:
        """Until the terminal has shown it: over a slow line no frame waits for an older one."""
        written = asyncio.Event()
        self.call_after_refresh(written.set)
        await written.wait()
        if self._drain:
            await self._drain.wait()

    def _say_why_not(self, look: Look) -> None:
        view = self.view
        if view is None:
            self._say("The machine is gone.", f"{self.station.settings.leave_key} leads back")
        elif view.state.live:
            self._say(f"{self.machine} is {view.state}", look.trouble or "its screen comes")
        else:
            self._say(f"{self.machine} is {view.state}", "Enter starts it")

    def _say(self, what: str, hint: str) -> None:
        self.guest.say(
            Content.styled(safe_line(what), "bold"),
            Content(),
            Content.styled(safe_line(hint), "$text-muted"),
        )

    def on_screen_suspend(self) -> None:
        self.guest.take_graphics_away()

    def on_screen_resume(self) -> None:
        self.guest.draw()

    def leave(self) -> None:
        self.guest.take_graphics_away()
        self.dismiss(None)

    # -- the status line ----------------------------------------------------

    def show_again(self) -> None:
        if self.stands and self.view:
            self.status.put(left_of(self, self.view), right_of(self))

    # -- keys ---------------------------------------------------------------

    @on(GuestView.Typed)
    def _typed(self, event: GuestView.Typed) -> None:
        event.stop()
        if not self.is_seen:
            return  # typed in one go with the key that left
        if event.key == self._leave_key:
            self.leave()
        elif event.key == self._menu_key:
            self._open_menu()
        elif not (self.look and self.look.canvas):
            self._key_without_screen(event.key)
        elif self.guest.grabbed:
            self._pass_on(event.key, event.character)
        else:
            self._own_key(event.key)

    def _key_without_screen(self, key: str) -> None:
        view = self.view
        if key == "enter" and view and not view.state.live:
            self._start()
        elif key in ("escape", "q"):
            self.leave()

    @work(group="start", exclusive=True, exit_on_error=False)
    async def _start(self) -> None:
        from workstation.ui.commands.machine import start

        await start(self, self.station, self.machine)

    def _own_key(self, key: str) -> None:
        if key in PANS:
            self.guest.pan(*PANS[key])
        elif key in ("z", "g"):
            self._do({"z": "zoom", "g": "grab"}[key])
        elif key in ("escape", "q"):
            self.leave()

    def _pass_on(self, key: str, character: str | None) -> None:
        text = "" if self.held else typed_by(key, character)
        chord = "" if text else chord_of(key)
        if text:
            self._try(text, typing=True)
        elif chord:
            held, self.held = sorted(self.held), set()
            self._try("-".join([*held, chord]), typing=False)
            self.show_again()

    @on(GuestView.Pasted)
    def _pasted(self, event: GuestView.Pasted) -> None:
        event.stop()
        if not self._try(event.text, typing=True):
            self.tell("Too much is still being typed: paste it again later, or in parts.")

    def _try(self, what: str, *, typing: bool) -> bool:
        """Whether there was room for it; what the guest's keyboard lacks is told."""
        if self.look is None:
            return True
        try:
            if typing:
                return self.look.type(what)
            self.look.press(what)
        except UsageError as error:
            self.tell(str(error))
        return True

    # -- the menu -----------------------------------------------------------

    @work(group="menu", exclusive=True)
    async def _open_menu(self) -> None:
        settings, guest = self.station.settings, self.guest
        lines = items(
            held=frozenset(self.held),
            grabbed=guest.grabbed,
            zoom=ZOOM_WORDS[guest.drawing.zoom],
            text=guest.drawing.as_text,
            own_keys=(settings.leave_key, settings.menu_key),
        )
        self._do(await self.app.push_screen_wait(Menu(self.machine, lines, settings.menu_key)))

    def _do(self, action: str) -> None:
        verb, _, rest = action.partition(" ")
        match verb:
            case "leave":
                self.leave()
            case "help":
                self.app.push_screen(HelpDialog(self))
            case "grab":
                self.guest.grabbed = not self.guest.grabbed
            case "zoom":
                self.guest.next_zoom()
            case "text":
                self.guest.toggle_text()
            case "size":
                self._ask_size()
            case "hold":
                self.held ^= {rest}
            case "press":
                self._try(rest, typing=False)
        self.show_again()

    def _ask_size(self) -> None:
        width, height = self.guest.size.width * 8, self.guest.size.height * 16
        if not (self.look and self.look.ask_size(width, height)):
            self.tell("This guest's adapter cannot be asked for a size.")

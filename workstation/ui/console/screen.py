"""The text console: a guest's serial line, full size, with one line of ours below it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, getters, on, work
from textual.app import ComposeResult
from textual.binding import BindingType

from workstation.core.serial.guest_size import command
from workstation.core.serial.session import Link, Session
from workstation.core.terminal.look import Look as Looked
from workstation.model.text import safe_line
from workstation.ui.commands.base import Command, bindings
from workstation.ui.commands.console import COMMANDS, ConsoleCommand
from workstation.ui.console.search import SearchBox
from workstation.ui.console.status import left_of, right_of
from workstation.ui.console.view import TerminalView
from workstation.ui.desk import Desk
from workstation.ui.feed import Batch, Feed
from workstation.ui.guest_keys import textual_key
from workstation.ui.looks import LOOKS, PANIC, PROBLEM, Look
from workstation.ui.widgets.footer import Footer
from workstation.ui.widgets.lines import Bar

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.events import Activity
    from workstation.model.machine import MachineView

TICK = 1.0

SIZE_SECONDS = 0.3
"""Without a further change of its size until the guest is told of it."""

BELL_SECONDS = 0.3
"""Between two bells that are passed on."""

_SCROLLS = {"shift+pageup": -1.0, "shift+pagedown": 1.0}
"""In screens, as xterm has them."""


class ConsoleScreen(Desk):
    """All keys go to the guest but two, which the line at the bottom names."""

    CSS_PATH = "console.tcss"
    AUTO_FOCUS = "TerminalView"
    commands: ClassVar[Mapping[str, Command[Any]]] = COMMANDS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(COMMANDS)]
    introduction = (
        "What you type goes to the guest. The menu key, which the line at the bottom names, shows"
        " what else can be done: the keys below are pressed after it. Twice, it goes to the guest"
        " itself. shift+pgup, or the wheel, looks back; dragging with the mouse marks (with shift"
        " where the guest has the mouse), and y copies. Leaving never stops the guest."
    )

    terminal = getters.query_one(TerminalView)
    searching = getters.query_one(SearchBox)
    bar = getters.query_one("#console-bar", Bar)

    def __init__(self, station: Workstation, name: str) -> None:
        super().__init__()
        self.station: Workstation = station
        self.machine = name
        self.session: Session = station.session(name)
        self._leave_key = textual_key(station.settings.leave_key)
        self._menu_key = textual_key(station.settings.menu_key)
        self._menu = False
        self.commanding = False
        """Looking back was asked for by a command: letters are commands there, too."""
        self._feed: Feed | None = None
        self._going: dict[int, Activity] = dict(station.activities)
        self._rung, self._bells = 0.0, 0

    @property
    def view(self) -> MachineView | None:
        return self.station.machines.get(self.machine)

    @property
    def going(self) -> list[Activity]:
        return list(self._going.values())

    @property
    def takes_keys(self) -> bool:
        return not self._menu and self.terminal.has_focus

    def signs(self) -> Iterable[Look]:
        return (*LOOKS.values(), PANIC, PROBLEM)

    # -- life ---------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield TerminalView(self)
        yield Bar(id="console-bar")
        yield SearchBox()
        yield Footer()

    def on_mount(self) -> None:
        self._feed = Feed(self.station, lambda batch: self.call_later(self._take, batch))
        self.set_interval(TICK, self.show_again)
        self._close_menu()
        # The terminal has its size then: what was printed before is shown in it.
        self.call_after_refresh(self._attend)

    @work(group="session", exit_on_error=False)
    async def _attend(self) -> None:
        await self.session.run(self)

    def on_unmount(self) -> None:
        if self._feed:
            self._feed.close()

    def _take(self, batch: Batch) -> None:
        if self.machine in batch.changed and batch.changed[self.machine] is None:
            self.leave()
        self._going |= batch.activities
        self._going = {number: one for number, one in self._going.items() if not one.finished}
        if self.machine in batch.changed or batch.activities:
            self.show_again()

    # -- the session shows --------------------------------------------------

    async def show(self, data: bytes, *, before: bool) -> None:
        await self.terminal.show(data, before=before)

    def begun_anew(self, *, resumed: bool) -> None:
        what = "goes on from a snapshot" if resumed else "starts"
        self.terminal.emulator.begin_run(f"{safe_line(self.machine)} {what}")
        self.terminal.soon()

    def changed(self) -> None:
        self.typed()
        self.resized()
        self.call_later(self.show_again)

    # -- the view asks ------------------------------------------------------

    def typed(self) -> None:
        """What is typed while the line is being connected waits for it."""
        if self.session.link is Link.CONNECTING:
            return
        data = self.terminal.emulator.answers()
        if data and self.session.link is Link.OPEN and not self.session.send(data):
            self.app.bell()

    def resized(self) -> None:
        """The guest follows by itself where its agent can tell it."""
        if self.is_open:
            self._follow_size()

    @work(group="size", exclusive=True, exit_on_error=False)
    async def _follow_size(self) -> None:
        await asyncio.sleep(SIZE_SECONDS)
        await self.session.tell_size(*self.terminal.size)

    def looked(self) -> None:
        if not self.stands:
            return
        bells = self.terminal.emulator.bells
        if bells != self._bells:
            self._bells = bells
            now = monotonic()
            if now - self._rung >= BELL_SECONDS:
                self._rung = now
                self.app.bell()
        self.show_again()

    def key(self, event: events.Key) -> bool:
        """Whether it is ours. What is left to bubble finds its command."""
        if not self.is_seen:
            # Typed in one go with the key that left.
            event.stop()
            return True
        if self._menu:
            return self._menu_pressed(event)
        if self.searching.display:
            # Typed before the line to type in had the keyboard.
            self.searching.take(event)
            return True
        if event.key == self._leave_key:
            self.leave()
        elif event.key == self._menu_key:
            self._open_menu()
        elif event.key in _SCROLLS:
            self.look_back(int(_SCROLLS[event.key] * (self.terminal.size.height - 1)))
        elif self.terminal.look:
            return self._look_pressed(event)
        elif event.key == "enter" and self.can_start:
            self.action_command("start")
        elif self.session.link in (Link.TAKEN, Link.NONE):
            self.app.bell()
        else:
            return False
        event.stop()
        return True

    # -- the menu -----------------------------------------------------------

    def _open_menu(self) -> None:
        self._menu = True
        self._show_menu()

    def _close_menu(self) -> None:
        self._menu = False
        self._show_menu()

    def _show_menu(self) -> None:
        self.bar.display = not self._menu
        self.footer.display = self._menu
        self.show_again()

    def _menu_pressed(self, event: events.Key) -> bool:
        self._close_menu()
        if event.key in (self._menu_key, self._leave_key):
            return False
        event.stop()
        for own in self.commands.values():
            if {event.key, event.character} & set(own.keys.split(",")):
                self.action_command(own.id)
        return True

    def action_command(self, command: str) -> None:
        """The console's own are done before the next key."""
        found = self.commands[command]
        if not isinstance(found, ConsoleCommand):
            super().action_command(command)
        elif self.can(found):
            found.now(self)

    def on_screen_resume(self) -> None:
        if self.view is None:
            self.leave()

    def on_screen_suspend(self) -> None:
        if self.stands:
            self._close_menu()

    # -- looking back -------------------------------------------------------

    def look_back(self, rows: int = 0, *, commanding: bool = False) -> None:
        if rows <= 0 or self.terminal.look:
            self.commanding = commanding or (self.commanding and self.terminal.look is not None)
            look = self.terminal.look_back(rows)
            if rows > 0 and not look.below:
                self.terminal.live()

    def _look_pressed(self, event: events.Key) -> bool:
        """Moving and searching; any other key is the guest's again, unless letters are ours."""
        look, page = self.terminal.look, max(1, self.terminal.size.height - 1)
        keys = {"up": -1, "down": 1, "pageup": -page, "pagedown": page, "home": -(10**9)}
        keys |= {"end": 10**9}
        if self.commanding:
            keys |= {"k": -1, "j": 1, "g": -(10**9), "G": 10**9, "space": page}
        if look and event.key in keys:
            self.terminal.look_back(keys[event.key])
        elif event.key in ("escape", "q"):
            self.terminal.live()
        elif event.key in ("y", "enter") and look and (look.marked or self.commanding):
            self.action_command("console-copy")
        elif self.commanding and event.key in ("n", "N", "upper_n"):
            self.find(older=event.key == "n")
        elif self.commanding and event.key in ("slash", "question_mark"):
            self.action_command("console-search")
        elif not self.commanding:
            return False
        event.stop()
        return True

    def find(self, text: str | None = None, *, older: bool = True) -> None:
        """Go to the next place of the text, or of the one looked for last."""
        wanted = self.searching.value if text is None else text
        self.look_back(commanding=True)
        if self.terminal.look and not self.terminal.look.find(wanted, older=older):
            self.tell(f"“{wanted}” is not found {'above' if older else 'below'}")
        self.terminal.repaint()
        self.terminal.focus()
        self.show_again()

    # -- showing ------------------------------------------------------------

    @property
    def can_start(self) -> bool:
        return self.session.link is Link.OFF and self.can(self.commands["start"])

    def show_again(self) -> None:
        if not self.stands or not self.view:
            return
        if self._menu:
            self.offer()
        else:
            self.bar.put(left_of(self), right_of(self))

    # -- what the commands do -----------------------------------------------

    @property
    def is_open(self) -> bool:
        return self.session.link is Link.OPEN

    def search(self) -> None:
        self.look_back(commanding=True)
        self.bar.display = False
        self.searching.open()

    @on(SearchBox.Wanted)
    def _search(self, wanted: SearchBox.Wanted) -> None:
        self.bar.display = True
        self.terminal.focus()
        if wanted.text:
            self.find(wanted.text)

    def copy(self) -> None:
        """To the clipboard of the person's terminal: they have asked for it."""
        look = self.terminal.look or Looked(self.terminal.emulator)
        text = look.text() or look.visible_text()
        self.app.copy_to_clipboard(text)
        self.tell(f"copied: {text.count(chr(10)) + 1} lines" if chr(10) in text else "copied")
        self.terminal.live()

    @work(group="size", exclusive=True, exit_on_error=False)
    async def tell_size(self) -> None:
        """Through the agent, or else as if it were typed."""
        size = self.terminal.size
        if await self.session.tell_size(*size):
            self.tell(f"the guest knows: {size.width}x{size.height}")
        else:
            self.session.send(f"{command(*size)}\r".encode())

    def restore(self) -> None:
        self.terminal.emulator.restore()
        self.terminal.live()
        self.terminal.repaint()

    def leave(self) -> None:
        """Back to where it was opened; the guest goes on."""
        self.dismiss(None)

"""The guest's terminal on the screen: fed at once, painted at a steady pace, row by row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import ClassVar, Protocol

from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from workstation.core.terminal.emulator import Emulator
from workstation.core.terminal.keys import Stroke
from workstation.core.terminal.look import Look, Place
from workstation.ui.console.painting import Overlay, Painter

FRAME = 1 / 40
"""Seconds between two paintings while there is something to paint."""

SLICE_SECONDS = 0.004
"""How long what the guest prints is read before everything else has its turn."""

_LEAST_SLICE, _MOST_SLICE = 32, 4096
"""Bytes that are read between two looks at the clock: fewer where the guest prints what takes long
to obey (some sequences take milliseconds)."""

HELD_SECONDS = 0.2
"""How long a guest that has asked for it is not painted amid a change."""

WHEEL_ROWS = 3

_CURSOR = Style(reverse=True)
_MARKED = Style(color="#101014", bgcolor="#8fb8de")
_FOUND = Style(color="#101014", bgcolor="#e0c060")

_BUTTONS = {1: 0, 2: 1, 3: 2}
"""Textual's numbers of the mouse's buttons, and xterm's."""


class Keeper(Protocol):
    """The screen that the view is on."""

    def key(self, event: events.Key) -> bool:
        """Whether the key is the screen's, not the guest's."""

    def typed(self) -> None:
        """The guest is to be sent `Emulator.answers`."""

    def resized(self) -> None:
        """The terminal has another size."""

    def looked(self) -> None:
        """What is looked at, or marked, is another."""


class TerminalView(Widget, can_focus=True):
    """Keys go to the guest, unless the screen wants them; the mouse too, where it has asked."""

    ALLOW_SELECT = False
    BORDER_TITLE = ""
    DEFAULT_CSS = "TerminalView { width: 1fr; height: 1fr; }"
    BINDINGS: ClassVar = []

    def __init__(self, keeper: Keeper, *, clock: Callable[[], float] = perf_counter) -> None:
        super().__init__()
        self._keeper = keeper
        self._clock = clock
        self.emulator = Emulator(80, 24)
        self.look: Look | None = None
        """What is looked at instead of the terminal as it is now."""
        self._painter = Painter(self.emulator.board.palette.colors)
        self._palette = self.emulator.board.palette.generation
        self._strips: dict[int, Strip] = {}
        self._cursor: tuple[int, int] | None = None
        self._reverse = False
        self._timer: Timer | None = None
        self._painted = 0.0
        self._held_since: float | None = None
        self._slice_began, self._slice = 0.0, _MOST_SLICE
        self._drag: Place | None = None

    # -- from the guest -----------------------------------------------------

    async def show(self, data: bytes, *, before: bool) -> None:
        """Take what the guest printed, a slice at a time."""
        take = self.emulator.replay if before else self.emulator.feed
        start = 0
        while start < len(data):
            begun = self._clock()
            take(data[start : start + self._slice])
            start += self._slice
            now = self._clock()
            if now - begun > SLICE_SECONDS / 2:
                self._slice = max(_LEAST_SLICE, self._slice // 2)
            elif self._slice < _MOST_SLICE:
                self._slice *= 2
            if now - self._slice_began > SLICE_SECONDS:
                self.soon()
                await asyncio.sleep(0)
                self._slice_began = self._clock()
        self._keeper.typed()
        self.soon()

    def soon(self) -> None:
        """Paint what has changed, when a frame is due."""
        if self._timer is None and self.is_mounted:
            wait = self._painted + FRAME - self._clock()
            self._timer = self.set_timer(max(0.001, wait), self._paint)

    def _paint(self) -> None:
        self._timer = None
        now = self._clock()
        if self.emulator.holds_still:
            self._held_since = now if self._held_since is None else self._held_since
            if now - self._held_since < HELD_SECONDS:
                self._painted = now
                self.soon()
                return
        self._held_since = None
        self._painted = now
        if self.look is None:
            self._refresh_damage()
        self._keeper.looked()

    def _refresh_damage(self) -> None:
        board = self.emulator.board
        if board.palette.generation != self._palette:
            self._palette = board.palette.generation
            self._painter.recolor(board.palette.colors)
            self.repaint()
            return
        reverse = bool(getattr(board.modes, "reverse_screen"))  # noqa: B009 (made at run time)
        if reverse != self._reverse:
            self._reverse = reverse
            self.repaint()
        rows = set(self.emulator.damaged_rows())
        cursor = self.emulator.port.cursor
        if cursor != self._cursor:
            rows |= {place[1] for place in (cursor, self._cursor) if place}
            self._cursor = cursor
        self._refresh_rows(rows)

    def _refresh_rows(self, rows: set[int]) -> None:
        width = self.size.width
        for row in rows:
            self._strips.pop(row, None)
        if len(rows) >= self.size.height:
            self.refresh()
        elif rows:
            self.refresh(*(Region(0, row, width, 1) for row in rows))

    def repaint(self) -> None:
        """All of it."""
        self._strips.clear()
        self.refresh()

    # -- painting -----------------------------------------------------------

    def render_lines(self, crop: Region) -> list[Strip]:
        strips = [self._strip(y) for y in crop.line_range]
        if crop.column_span == (0, self.size.width):
            return strips
        return [strip.crop(*crop.column_span) for strip in strips]

    def _strip(self, y: int) -> Strip:
        strip = self._strips.get(y)
        if strip is None:
            strip = self._looked(y) if self.look else self._live(y)
            strip = strip.adjust_cell_length(self.size.width, self.visual_style.rich_style)
            for line_filter in self.get_line_filters():
                strip = strip.apply_filter(line_filter, self.background_colors[1])
            self._strips[y] = strip
        return strip

    def _live(self, y: int) -> Strip:
        page = self.emulator.port.page
        if y >= page.height:
            return Strip([], 0)
        overlays: list[Overlay] = []
        if self._cursor and self._cursor[1] == y and self.has_focus:
            overlays = [(self._cursor[0], self._cursor[0] + 1, _CURSOR)]
        return self._painter.strip(page.line(y).cells, overlays, reverse=self._reverse)

    def _looked(self, y: int) -> Strip:
        look = self.look
        rows = look.rows() if look else []
        if not look or y >= len(rows):
            return Strip([], 0)
        overlays = [
            (*span, style)
            for marked, style in ((look.found, _FOUND), (look.marked, _MARKED))
            if marked and (span := marked.on(look.top + y, look.columns))
        ]
        return self._painter.strip(rows[y], overlays, reverse=self._reverse)

    # -- size ---------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        if event.size.width and event.size.height:
            self.emulator.resize(event.size.width, event.size.height)
            if self.look:
                self.live()
            self.repaint()
            self.soon()
            self._keeper.resized()
            self._keeper.looked()

    def on_focus(self) -> None:
        self.emulator.focus(True)
        self._keeper.typed()
        self.repaint()

    def on_blur(self) -> None:
        self.emulator.focus(False)
        self._keeper.typed()
        self.repaint()

    # -- looking back -------------------------------------------------------

    def look_back(self, rows: int = 0) -> Look:
        """Hold still what was shown, and scroll in it."""
        if self.look is None:
            self.look = Look(self.emulator)
        self.look.scroll(rows)
        self.repaint()
        self._keeper.looked()
        return self.look

    def live(self) -> None:
        """Show the terminal as it is now."""
        if self.look:
            self.look = None
            self._drag = None
            self.emulator.damaged_rows()
            self._cursor = self.emulator.port.cursor
            self.repaint()
            self._keeper.looked()

    # -- the keyboard -------------------------------------------------------

    async def _on_key(self, event: events.Key) -> None:
        if self._keeper.key(event):
            return
        event.stop()
        event.prevent_default()
        self.live()
        self.emulator.type(Stroke(event.key, event.character))
        self._keeper.typed()

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        self.paste(event.text)

    def paste(self, text: str) -> None:
        self.live()
        self.emulator.paste(text)
        self._keeper.typed()

    # -- the mouse ----------------------------------------------------------

    def _passed_on(self, event: events.MouseEvent, button: int, kind: str) -> bool:
        """Whether the mouse is the guest's: then it was told."""
        if self.look or event.shift or not self.emulator.wants_mouse:
            return False
        words = {word for word in ("meta", "ctrl") if getattr(event, word)}
        self.emulator.mouse(event.x, event.y, button, kind, words)
        self._keeper.typed()
        return True

    def on_mouse_down(self, event: events.MouseDown) -> None:
        event.stop()
        if event.button not in _BUTTONS:
            return
        self.capture_mouse()
        if not self._passed_on(event, _BUTTONS[event.button], "press"):
            self._drag = Place(self.look.top + event.y if self.look else event.y, event.x)
            self._dragged_live = self.look is None

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._drag is not None and event.button:
            self._mark_to(event)
        elif self._passed_on(event, _BUTTONS.get(event.button, 3), "move"):
            event.stop()

    _dragged_live = False

    def _mark_to(self, event: events.MouseMove) -> None:
        if self._drag is None:
            return
        look = self.look or self.look_back()
        if self._dragged_live:
            self._drag = Place(look.top + self._drag.row, self._drag.column)
            self._dragged_live = False
        if event.y < 0 or event.y >= self.size.height:
            look.scroll(-1 if event.y < 0 else 1)
        look.mark(self._drag, Place(look.top + event.y, event.x))
        self.repaint()
        self._keeper.looked()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        event.stop()
        self.release_mouse()
        if self._drag is None:
            self._passed_on(event, _BUTTONS.get(event.button, 0), "release")
        self._drag = None

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._wheel(event, -WHEEL_ROWS, 64)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._wheel(event, WHEEL_ROWS, 65)

    def _wheel(self, event: events.MouseEvent, rows: int, button: int) -> None:
        if not self.look and not event.shift and self.emulator.wants_wheel:
            self.emulator.mouse(event.x, event.y, button, "press", set())
            self._keeper.typed()
        elif self.look or rows < 0:
            look = self.look_back(rows)
            if rows > 0 and not look.below and not look.marked:
                self.live()

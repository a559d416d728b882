"""The widget that a guest's screen is drawn on, and that its keys and mouse go through."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING

from textual import events
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from workstation.ui.screen.halves import Halves
from workstation.ui.screen.letters import Letters
from workstation.ui.screen.window import ZOOMS, Window
from workstation.ui.widgets.lines import strip_of

if TYPE_CHECKING:
    from workstation.core.screen.look import Box, Canvas, Look

WHEEL = {"up": 3, "down": 4, "left": 5, "right": 6}
"""Bits of the pointer's buttons, of RFB."""
BUTTONS = {1: 0, 2: 1, 3: 2}
"""Textual's number of a button: its bit."""
LOOK_AGAIN = 0.5
"""Seconds between two looks whether a picture has become text."""
PANNED = 0.25
"""Share of the pane that a step moves on."""


class GuestView(Widget, can_focus=True):
    """Draws frames; says keys as messages, and passes the mouse on while it is grabbed."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "GuestView { width: 1fr; height: 1fr; }"

    class Typed(Message):
        """A key was pressed that is not the widget's own."""

        def __init__(self, key: str, character: str | None) -> None:
            super().__init__()
            self.key, self.character = key, character

    class Pasted(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__()
        self.look: Look | None = None
        self.grabbed = True
        """Whether keys and mouse are the guest's."""
        self.zoom = ZOOMS[0]
        self.centre = (0.0, 0.0)
        """Pixel of the guest that is to be in the middle."""
        self.as_text = True
        """Whether a text screen is shown as text."""
        self._halves = Halves(1, 1)
        self._letters = Letters(1, 1)
        self._reading = False
        """Whether it is shown so now."""
        self._next_look = 0.0
        self._window: Window | None = None
        self._buttons = 0
        self._exact = False
        """Whether the terminal tells where in a cell the mouse is."""
        self._notes: Sequence[Content] = ()

    # -- drawing ------------------------------------------------------------

    def draw(self, damage: Sequence[Box] | None = None) -> None:
        """Show what has changed on the canvas; everything where no damage is given."""
        canvas = self.look.canvas if self.look else None
        if canvas is None or not self.size:
            return
        self._notes = ()
        if (self._halves.columns, self._halves.rows) != self.size:
            self._halves, self._letters = Halves(*self.size), Letters(*self.size)
            damage = None
        whole = damage is None
        reading = self._read([canvas.box] if damage is None else damage, at_once=whole)
        if whole or reading != self._reading:
            self._reading, damage = reading, None
            self._halves.clear()
            self._letters.clear()
        for row in self._changed(canvas, [canvas.box] if damage is None else damage):
            self.refresh(Region(0, row, self.size.width, 1))

    def _changed(self, canvas: Canvas, damage: Sequence[Box]) -> list[int]:
        if self._reading and self.look:
            return self._letters.draw(self.look.text)
        self._window = self._halves.place(canvas, self.zoom, self.centre)
        return self._halves.draw(canvas, self._window, damage)

    def _read(self, damage: Sequence[Box], *, at_once: bool) -> bool:
        """Read the canvas where it may be text; whether it is."""
        look = self.look
        if not (self.as_text and not self.zoom and look and look.canvas):
            return False
        if not self._reading:
            # What is a picture is read only now and then, but then once more when all is still.
            if not at_once and monotonic() < self._next_look:
                self._look_later.resume()
                return False
            self._next_look = monotonic() + LOOK_AGAIN
            damage = [look.canvas.box]
        look.text.read(look.canvas, damage)
        return look.text.is_text

    def on_mount(self) -> None:
        self._look_later = self.set_interval(LOOK_AGAIN, self._look_now, pause=True)

    def _look_now(self) -> None:
        self._look_later.pause()
        self.draw([])

    def say(self, *notes: Content) -> None:
        """Words in the middle, where there is nothing to draw."""
        self._window, self._notes = None, notes
        self._halves.clear()
        self.refresh()

    def on_resize(self) -> None:
        self.draw()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Past Textual's caches of styles: the strips are as they are to be written."""
        rows = [self._line(y) for y in range(crop.y, crop.bottom)]
        if crop.x or crop.width != self.size.width:
            return [strip.crop(crop.x, crop.right) for strip in rows]
        return rows

    def _line(self, y: int) -> Strip:
        width, base = self.size.width, self.visual_style
        if self._notes:
            number = y - (self.size.height - len(self._notes)) // 2
            if 0 <= number < len(self._notes):
                note = self._notes[number].truncate(width)
                return strip_of(note.pad_left((width - note.cell_length) // 2), width, base)
        elif self.look and self.look.canvas:
            strips = self._letters.strips if self._reading else self._halves.strips
            if y < len(strips) and strips[y].cell_length == width:
                return strips[y]
        return Strip.blank(width, base.rich_style)

    # -- what is shown ------------------------------------------------------

    @property
    def drawn_as(self) -> str:
        """In a word or two, for the status line."""
        if self._reading:
            return "text"
        return f"{self._window.scale:.0%}" if self._window else ""

    def toggle_text(self) -> None:
        self.as_text = not self.as_text
        self.draw()

    def next_zoom(self) -> None:
        self.zoom = ZOOMS[(ZOOMS.index(self.zoom) + 1) % len(ZOOMS)]
        self.draw()

    def pan(self, across: int, down: int) -> None:
        """Steps to the right and down, where the screen is larger than the pane."""
        shown = self._window
        canvas = self.look.canvas if self.look else None
        if shown and canvas and self.zoom:
            width, height = shown.width / shown.scale, shown.height / shown.scale
            middle = (shown.left + width / 2, shown.top + height / 2)
            self.centre = (middle[0] + across * width * PANNED, middle[1] + down * height * PANNED)
            self.draw()

    # -- keyboard -----------------------------------------------------------

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        """The program's own keys are the guest's too, as long as it has the keyboard."""
        return self.grabbed

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        self.post_message(self.Typed(event.key, event.character))

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        if self.grabbed:
            self.post_message(self.Pasted(event.text))

    # -- mouse --------------------------------------------------------------

    def _point(self, event: events.MouseEvent, buttons: int) -> None:
        if not (self.grabbed and self.look and self.look.canvas):
            return
        x, y = event.pointer_x, event.pointer_y
        self._exact = self._exact or x % 1 > 0 or y % 1 > 0
        middle = 0.0 if self._exact else 0.5
        x, y = x + middle, y + middle
        if self._reading:
            place = self._letters.to_guest(x, y, self.look.text, self.look.canvas)
            self.look.point(*place, buttons)
        elif self._window:
            self.look.point(*self._window.to_guest(x, 2 * y), buttons)  # two pixels a cell

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._point(event, self._buttons)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self.focus()
        self.capture_mouse()
        self._buttons |= 1 << BUTTONS.get(event.button, 0)
        self._point(event, self._buttons)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self.release_mouse()
        self._buttons &= ~(1 << BUTTONS.get(event.button, 0))
        self._point(event, self._buttons)

    def _wheel(self, event: events.MouseEvent, way: str) -> None:
        event.stop()
        if not self.grabbed:
            self.pan({"left": -1, "right": 1}.get(way, 0), {"up": -1, "down": 1}.get(way, 0))
            return
        self._point(event, self._buttons | 1 << WHEEL[way])
        self._point(event, self._buttons)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, "up")

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, "down")

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        self._wheel(event, "left")

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        self._wheel(event, "right")

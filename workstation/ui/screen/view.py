"""The widget that a guest's screen is drawn on, and that its keys and mouse go through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import events
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from workstation.ui.screen.drawing import LOOK_AGAIN, Drawing
from workstation.ui.screen.pixels import Pane
from workstation.ui.screen.window import ZOOMS
from workstation.ui.widgets.lines import strip_of

if TYPE_CHECKING:
    from workstation.core.screen.look import Box, Look

WHEEL = {"up": 3, "down": 4, "left": 5, "right": 6}
"""Bits of the pointer's buttons, of RFB."""
BUTTONS = {1: 0, 2: 1, 3: 2}
"""Textual's number of a button: its bit."""
POINTED = 1 / 30
"""Seconds between two drawings of the guest's own pointer."""
REST = 0.01
"""Seconds in which keys are taken before the rest of a picture in pixels is written."""
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
        self.drawing = Drawing()
        self._buttons = 0
        self._exact = False
        """Whether the terminal tells where in a cell the mouse is."""
        self._notes: Sequence[Content] = ()

    # -- drawing ------------------------------------------------------------

    def draw(self, damage: Sequence[Box] | None = None) -> None:
        """Show what has changed on the canvas; everything where no damage is given."""
        if self.look is None or self.look.canvas is None:
            return
        self._notes = ()
        for row in self.drawing.draw(self.look, self.size, damage):
            self.refresh(Region(0, row, self.size.width, 1))
        if self.drawing.look_later:
            self._later.resume()
        if self.drawing.pixels:
            self.call_after_refresh(self._write_graphics)

    def _write_graphics(self) -> None:
        """After the cells: the pixels lie over them."""
        if self.look and self.screen.is_active:  # not below a dialog
            self._write(self.drawing.graphics(self.look, Pane(*self.region)))
            if self.drawing.pixels and self.drawing.pixels.unfinished:
                self._rest.resume()

    def _write_rest(self) -> None:
        self._rest.pause()
        self._write_graphics()

    def take_graphics_away(self) -> None:
        """Nothing else would: images stay when what is around them is drawn anew."""
        self._write(self.drawing.take_graphics_away())

    def _write(self, text: str) -> None:
        driver = self.app._driver
        if text and driver:
            driver.write(text)
            driver.flush()

    def on_mount(self) -> None:
        self._later = self.set_interval(LOOK_AGAIN, self._look_now, pause=True)
        self._rest = self.set_interval(REST, self._write_rest, pause=True)
        self._moving = self.set_interval(POINTED, self._show_pointer, pause=True)

    def _look_now(self) -> None:
        self._later.pause()
        self.draw([])

    def _show_pointer(self) -> None:
        self._moving.pause()
        self.draw([])

    def say(self, *notes: Content) -> None:
        """Words in the middle, where there is nothing to draw."""
        self._notes = notes
        self.take_graphics_away()
        self.drawing.clear()
        self.refresh()

    def on_resize(self) -> None:
        self.draw()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Past Textual's caches of styles: the strips are as they are to be written."""
        pixels, top = self.drawing.pixels, self.region.y
        if pixels and pixels.painted_over(range(top + crop.y, top + crop.bottom)):
            self.call_after_refresh(self._write_graphics)
        rows = [self._row(y) for y in range(crop.y, crop.bottom)]
        if crop.x or crop.width != self.size.width:
            return [strip.crop(crop.x, crop.right) for strip in rows]
        return rows

    def _row(self, y: int) -> Strip:
        width, base = self.size.width, self.visual_style
        if self._notes:
            number = y - (self.size.height - len(self._notes)) // 2
            if 0 <= number < len(self._notes):
                note = self._notes[number].truncate(width)
                return strip_of(note.pad_left((width - note.cell_length) // 2), width, base)
        elif self.look and self.look.canvas and y < len(self.drawing.strips):
            strip = self.drawing.strips[y]
            if strip.cell_length == width:
                return strip
        return Strip.blank(width, base.rich_style)

    # -- what is shown ------------------------------------------------------

    @property
    def drawn_as(self) -> str:
        """In a word or two, for the status line."""
        if self.drawing.reading:
            return "text"
        if self.drawing.pixels and self.drawing.window:
            return self.drawing.pixels.name
        return f"{self.drawing.window.scale:.0%}" if self.drawing.window else ""

    def toggle_text(self) -> None:
        self.drawing.as_text = not self.drawing.as_text
        self.draw()

    def next_zoom(self) -> None:
        self.drawing.zoom = ZOOMS[(ZOOMS.index(self.drawing.zoom) + 1) % len(ZOOMS)]
        self.draw()

    def pan(self, across: int, down: int) -> None:
        """Steps to the right and down, where the screen is larger than the pane."""
        self.drawing.pan(across * PANNED, down * PANNED)
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
        if not (self.grabbed and self.look):
            return
        x, y = event.pointer_x, event.pointer_y
        self._exact = self._exact or x % 1 > 0 or y % 1 > 0
        middle = 0.0 if self._exact else 0.5
        place = self.drawing.to_guest(self.look, x + middle, y + middle)
        if place:
            self.look.point(*place, buttons)
            if self.look.cursor:
                self._moving.resume()

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

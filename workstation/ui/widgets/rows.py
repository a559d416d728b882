"""Rows with a cursor: one row is painted when one changes, however many there are."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style


def _move(keys: str, rows: str) -> Binding:
    return Binding(keys, f"move({rows!r})", show=False)


class Rows(ScrollView, can_focus=True):
    """The cursor, the mouse and the scrolling; `count` and `paint` say what the rows are."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Rows { scrollbar-size-vertical: 1; }"
    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--cursor", "rows--hover"}
    BINDINGS: ClassVar[list[BindingType]] = [
        _move("up,k", "up"),
        _move("down,j", "down"),
        _move("pageup", "pageup"),
        _move("pagedown", "pagedown"),
        _move("home", "home"),
        _move("end", "end"),
    ]

    class Moved(Message):
        """The cursor is on another row, or on none."""

    class Opened(Message):
        """The row under the cursor was clicked twice."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._strips: dict[int, Strip] = {}
        self._hover: int | None = None
        self.cursor = 0

    @property
    def count(self) -> int:
        raise NotImplementedError

    def paint(self, row: int, base: Style, mark: str) -> Strip:
        """The row on the widget's whole width; `mark` stands before it."""
        raise NotImplementedError

    def arranged(self) -> None:
        """Other rows are there now, and the cursor has been put on one of them."""
        self._strips.clear()
        self.virtual_size = Size(0, self.count)
        self.refresh()
        self._show_cursor()

    def repaint(self, row: int) -> None:
        """That row looks different; it costs nothing while it is out of sight."""
        self._strips.pop(row, None)
        top = self.scroll_offset.y
        if top <= row < top + self.size.height:
            self.refresh_line(row)

    # -- the cursor ---------------------------------------------------------

    def action_move(self, where: str) -> None:
        page, last = max(1, self.size.height - 1), self.count - 1
        steps = {"up": -1, "down": 1, "pageup": -page, "pagedown": page, "home": -last, "end": last}
        self.put_cursor(max(0, min(last, self.cursor + steps[where])))

    def put_cursor(self, row: int) -> None:
        if row == self.cursor or not self.count:
            return
        old, self.cursor = self.cursor, row
        for changed in (old, row):
            self.refresh_line(changed)
        self._show_cursor()
        self.post_message(self.Moved())

    def _show_cursor(self) -> None:
        self.scroll_to_region(
            Region(0, self.cursor, 1, 1), animate=False, force=True, immediate=True
        )

    # -- the mouse ----------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        row = event.y + self.scroll_offset.y
        if row < self.count:
            self.put_cursor(row)
            if event.chain == 2:
                self.post_message(self.Opened())

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._set_hover(event.y + self.scroll_offset.y)

    def on_leave(self) -> None:
        self._set_hover(None)

    def _set_hover(self, row: int | None) -> None:
        if row == self._hover:
            return
        old, self._hover = self._hover, row
        for changed in (old, row):
            if changed is not None:
                self.refresh_line(changed)

    # -- painting -----------------------------------------------------------

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def on_resize(self) -> None:
        self._strips.clear()
        self._show_cursor()

    def render_line(self, y: int) -> Strip:
        row, base = y + self.scroll_offset.y, self.visual_style
        if row >= self.count:
            return Strip.blank(self.size.width, base.rich_style)
        if row == self.cursor:
            return self.paint(row, self.get_visual_style("rows--cursor"), "▌")
        if row == self._hover:
            return self.paint(row, self.get_visual_style("rows--hover"), " ")
        if row not in self._strips:
            self._strips[row] = self.paint(row, base, " ")
        return self._strips[row]

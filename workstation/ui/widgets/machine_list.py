"""The machines as rows: one row is painted when one machine changes, however many there are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style

from workstation.model.text import safe_line
from workstation.ui.looks import look_of
from workstation.ui.widgets.lines import between, strip_of

if TYPE_CHECKING:
    from workstation.model.machine import MachineView

Wanted = Callable[["MachineView"], bool]


def _move(keys: str, rows: str) -> Binding:
    return Binding(keys, f"move({rows!r})", show=False)


class MachineList(ScrollView, can_focus=True):
    """Sorted by name, with a cursor on one of them."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"machine-list--cursor", "machine-list--hover"}
    BINDINGS: ClassVar[list[BindingType]] = [
        _move("up,k", "up"),
        _move("down,j", "down"),
        _move("pageup", "pageup"),
        _move("pagedown", "pagedown"),
        _move("home", "home"),
        _move("end", "end"),
    ]

    class Moved(Message):
        """The cursor is on another machine, or on none."""

    class Opened(Message):
        """The machine under the cursor was clicked twice."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._views: dict[str, MachineView] = {}
        self._names: list[str] = []
        self._strips: dict[str, Strip] = {}
        self._wanted: Wanted = lambda view: True
        self._hover: int | None = None
        self.cursor = 0

    # -- what it shows ------------------------------------------------------

    @property
    def selected(self) -> MachineView | None:
        return self._views[self._names[self.cursor]] if self._names else None

    @property
    def shown(self) -> int:
        """How many of the machines the filter lets through."""
        return len(self._names)

    def view_of(self, name: str) -> MachineView | None:
        """The machine as it is shown now, or would be without the filter."""
        return self._views.get(name)

    def shows(self, name: str) -> bool:
        return self._row(name) is not None

    def fill(self, views: Mapping[str, MachineView]) -> None:
        """Show these and no others."""
        self._views = dict(views)
        self._arrange()

    def filter(self, wanted: Wanted) -> None:
        """Show only machines that are wanted; the cursor stays on its machine where it can."""
        self._wanted = wanted
        self._arrange()

    def update_machines(self, changed: Mapping[str, MachineView | None]) -> None:
        """Take new views in; None removes a machine. Repaints the rows that differ."""
        differ = [name for name, view in changed.items() if self._take(name, view)]
        if any(
            (name in self._views and self._wanted(self._views[name])) != self.shows(name)
            for name in changed
        ):
            self._arrange()
        else:
            self._refresh_rows(differ)

    def _take(self, name: str, view: MachineView | None) -> bool:
        """Keep the view; whether its row looks different now."""
        old = self._views.pop(name, None)
        if view is None:
            return True
        self._views[name] = view
        return old is None or look_of(old) != look_of(view)

    def select(self, name: str) -> None:
        """Put the cursor on that machine if it is shown."""
        row = self._row(name)
        if row is not None:
            self._set_cursor(row)

    def _arrange(self) -> None:
        old = self._names[self.cursor] if self._names else None
        self._names = sorted(name for name, view in self._views.items() if self._wanted(view))
        self._strips.clear()
        row = self._row(old) if old is not None else 0
        self.cursor = row if row is not None else min(self.cursor, max(0, len(self._names) - 1))
        self.virtual_size = Size(0, len(self._names))
        self.refresh()
        self._show_cursor()
        if old != (self._names[self.cursor] if self._names else None):
            self.post_message(self.Moved())

    def _row(self, name: str) -> int | None:
        row = bisect_left(self._names, name)
        return row if row < len(self._names) and self._names[row] == name else None

    # -- the cursor ---------------------------------------------------------

    def action_move(self, where: str) -> None:
        page, last = max(1, self.size.height - 1), len(self._names) - 1
        steps = {"up": -1, "down": 1, "pageup": -page, "pagedown": page, "home": -last, "end": last}
        self._set_cursor(max(0, min(last, self.cursor + steps[where])))

    def _set_cursor(self, row: int) -> None:
        if row == self.cursor or not self._names:
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
        if row < len(self._names):
            self._set_cursor(row)
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
        if row >= len(self._names):
            return Strip.blank(self.size.width, base.rich_style)
        name = self._names[row]
        if row == self.cursor:
            return self._paint(name, self.get_visual_style("machine-list--cursor"), "▌")
        if row == self._hover:
            return self._paint(name, self.get_visual_style("machine-list--hover"), " ")
        if name not in self._strips:
            self._strips[name] = self._paint(name, base, " ")
        return self._strips[name]

    def _paint(self, name: str, base: Style, mark: str) -> Strip:
        view, width = self._views[name], self.size.width
        look = look_of(view)
        left = Content.assemble(
            (mark, "$primary"), (f"{look.glyph} ", look.style), safe_line(name, limit=80)
        )
        return strip_of(between(left, _word(look.word, look.style), width), width, base)

    def _refresh_rows(self, names: Iterable[str]) -> None:
        """Have those rows painted again; those out of sight cost nothing."""
        top = self.scroll_offset.y
        for name in names:
            self._strips.pop(name, None)
            row = self._row(name)
            if row is not None and top <= row < top + self.size.height:
                self.refresh_line(row)


def _word(word: str, style: str) -> Content:
    return Content.assemble(" ", (f"{word:<9}", style))

"""The machines as rows: one row is painted when one machine changes, however many there are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from textual.content import Content
from textual.strip import Strip
from textual.style import Style

from workstation.model.text import safe_line
from workstation.ui.looks import look_of
from workstation.ui.widgets.lines import between, strip_of
from workstation.ui.widgets.rows import Rows

if TYPE_CHECKING:
    from workstation.model.machine import MachineView

Wanted = Callable[["MachineView"], bool]


class MachineList(Rows):
    """Sorted by name, with a cursor on one of them."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._views: dict[str, MachineView] = {}
        self._names: list[str] = []
        self._wanted: Wanted = lambda view: True

    # -- what it shows ------------------------------------------------------

    @property
    def count(self) -> int:
        """How many of the machines the filter lets through."""
        return len(self._names)

    @property
    def selected(self) -> MachineView | None:
        return self._views[self._names[self.cursor]] if self._names else None

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
            self.put_cursor(row)

    def _arrange(self) -> None:
        old = self._names[self.cursor] if self._names else None
        self._names = sorted(name for name, view in self._views.items() if self._wanted(view))
        row = self._row(old) if old is not None else 0
        self.cursor = row if row is not None else min(self.cursor, max(0, len(self._names) - 1))
        self.arranged()
        if old != (self._names[self.cursor] if self._names else None):
            self.post_message(self.Moved())

    def _row(self, name: str) -> int | None:
        row = bisect_left(self._names, name)
        return row if row < len(self._names) and self._names[row] == name else None

    # -- painting -----------------------------------------------------------

    def paint(self, row: int, base: Style, mark: str) -> Strip:
        name, width = self._names[row], self.size.width
        view = self._views[name]
        look = look_of(view)
        left = Content.assemble(
            (mark, "$primary"), (f"{look.glyph} ", look.style), safe_line(name, limit=80)
        )
        return strip_of(between(left, _word(look.word, look.style), width), width, base)

    def _refresh_rows(self, names: Iterable[str]) -> None:
        """Have those rows painted again."""
        for name in names:
            row = self._row(name)
            if row is not None:
                self.repaint(row)


def _word(word: str, style: str) -> Content:
    return Content.assemble(" ", (f"{word:<9}", style))

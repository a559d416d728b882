"""Lines of our own making; only those that changed are painted again."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget


def between(left: Content, right: Content, width: int) -> Content:
    """Both at the ends of a line of `width` cells; the left one gives way."""
    room = width - right.cell_length
    if left.cell_length >= room:
        left = left.truncate(max(0, room - 1), ellipsis=True)
    return left + Content(" " * max(0, room - left.cell_length)) + right


def strip_of(content: Content, width: int, base: Style) -> Strip:
    """The content on exactly `width` cells, over `base`."""
    return Strip(content.render_segments(base)).adjust_cell_length(width, base.rich_style)


class Lines(ScrollView, can_focus=False):
    """Shows a list of single-line contents; scrolls where its CSS lets it."""

    DEFAULT_CSS = "Lines { overflow: hidden hidden; scrollbar-size-vertical: 1; }"

    lines: Sequence[Content] = ()

    def show(self, lines: Sequence[Content]) -> None:
        """Replace what is shown."""
        old, self.lines = self.lines, lines
        if len(old) != len(lines):
            self.virtual_size = Size(0, len(lines))
            self.refresh()
            return
        for number, (before, after) in enumerate(zip(old, lines, strict=True)):
            if not before.is_same(after):
                self.refresh_line(number)

    def render_line(self, y: int) -> Strip:
        row, width, base = y + self.scroll_offset.y, self.size.width, self.visual_style
        if row >= len(self.lines):
            return Strip.blank(width, base.rich_style)
        content = self._selected(self.lines[row], row)
        return strip_of(content, width, base).apply_offsets(0, row)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What the mouse has marked, for copying."""
        return selection.extract("\n".join(line.plain for line in self.lines)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()

    def _selected(self, content: Content, row: int) -> Content:
        selection = self.text_selection
        span = selection.get_span(row) if selection else None
        if span is None:
            return content
        start, end = span
        marked = self.screen.get_visual_style("screen--selection")
        return content.stylize(marked, start, len(content) if end == -1 else end)


class Bar(Lines):
    """One line with a left and a right end."""

    DEFAULT_CSS = "Bar { height: 1; }"

    left: Content = Content()
    right: Content = Content()

    def put(self, left: Content, right: Content) -> None:
        self.left, self.right = left, right
        self._lay_out()

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        self.show([between(self.left, self.right, self.size.width)])


def plain_title(widget: Widget, title: str) -> None:
    """Set the border's title to a text that may come from anywhere."""
    # The descriptor takes Content as well; as a str it would be read as markup.
    widget.border_title = Content(title)

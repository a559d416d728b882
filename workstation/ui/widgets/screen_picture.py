"""The picture of a guest's screen that was taken with a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from textual import work
from textual.content import Content
from textual.strip import Strip
from textual.widget import Widget

from workstation.ui.picture import strips
from workstation.ui.widgets.lines import strip_of


class ScreenPicture(Widget):
    """Drawn with half blocks, as large as the pane lets it be; without one it says why."""

    def __init__(self) -> None:
        super().__init__()
        self._file: Path | None = None
        self._note = ""
        self._strips: Sequence[Strip] = ()
        self.drawn = False
        """Whether what was put is what is shown."""

    def put(self, file: Path | None, note: str) -> None:
        """The picture in a file; `note` where there is none."""
        if (file, note) != (self._file, self._note):
            self._file, self._note = file, note
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        self.drawn = False
        if self.size:
            self._read()

    @work(group="picture", exclusive=True)
    async def _read(self) -> None:
        file, (columns, rows) = self._file, self.size
        drawn = await asyncio.to_thread(strips, file, columns, rows) if file else []
        self._strips = drawn or self._noted("The picture cannot be read." if file else self._note)
        self.drawn = True
        self.refresh()

    def _noted(self, note: str) -> list[Strip]:
        width, height = self.size
        line = Content.styled(note, "$text-muted").pad_left(max(0, (width - len(note)) // 2))
        base = self.visual_style
        return [Strip([])] * (height // 2) + [strip_of(line, width, base)]

    def render_line(self, y: int) -> Strip:
        base = self.visual_style.rich_style
        if y >= len(self._strips):
            return Strip.blank(self.size.width, base)
        return self._strips[y].apply_style(base).adjust_cell_length(self.size.width, base)

"""The selected machine's screen, live and small."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from textual import work
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from workstation.ui.screen.drawing import Drawing

if TYPE_CHECKING:
    from workstation.core.screen.look import Box, Look

PERIOD = 1.0
"""Seconds between two pictures at least: what moves faster is for the screen itself."""


class Thumbnail(Widget):
    """Follows one look at a time, at a low rate; it is connected to only while it is followed."""

    ALLOW_SELECT = False

    class Changed(Message):
        """There is a picture now, or none any more."""

    def __init__(self) -> None:
        super().__init__()
        self.look: Look | None = None
        self._drawing = Drawing()

    @property
    def shows(self) -> bool:
        """Whether there is a picture."""
        return bool(self.look and self.look.canvas)

    def follow(self, look: Look | None) -> None:
        """That screen from now on, or none."""
        self.look, self._drawing = look, Drawing()
        self.border_title = "screen"
        if look:
            self._follow(look)
        else:
            self.workers.cancel_group(self, "thumbnail")
        self.post_message(self.Changed())

    @work(group="thumbnail", exclusive=True)
    async def _follow(self, look: Look) -> None:
        shown = False
        async with aclosing(look.frames()) as frames:
            async for damage in frames:
                if shown != self.shows:
                    shown = self.shows
                    self.post_message(self.Changed())
                self._draw(damage)
                if shown:
                    await asyncio.sleep(PERIOD)

    def _draw(self, damage: Sequence[Box] | None = None) -> None:
        if self.look:
            for row in self._drawing.draw(self.look, self.content_size, damage):
                self.refresh(Region(0, row, self.content_size.width, 1))

    def on_resize(self) -> None:
        self._drawing.clear()
        self._draw()

    def render_line(self, y: int) -> Strip:
        width, base = self.content_size.width, self.visual_style.rich_style
        strips = self._drawing.strips
        if not self.shows or y >= len(strips):
            return Strip.blank(width, base)
        return strips[y].adjust_cell_length(width)

"""What happened, newest last."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.content import Content
from textual.geometry import Size

from workstation.model.text import safe_line
from workstation.ui.widgets.lines import Lines

if TYPE_CHECKING:
    from workstation.model.events import Logged

STYLES = {"info": "", "warning": "$text-warning", "error": "$text-error"}
MARKS = {"info": " ", "warning": "⚠", "error": "!"}


class LogPane(Lines):
    """The newest thousand lines; it follows the end unless scrolled away from it."""

    DEFAULT_CSS = "LogPane { overflow: hidden auto; }"
    BORDER_TITLE = "Log"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._kept: deque[Content] = deque(maxlen=1000)

    def add(self, logged: Iterable[Logged]) -> None:
        follow = self.is_vertical_scroll_end
        self._kept.extend(line(entry) for entry in logged)
        self.lines = list(self._kept)
        self.virtual_size = Size(0, len(self.lines))
        self.refresh()
        if follow:
            self.scroll_end(animate=False, force=True)


def line(entry: Logged) -> Content:
    clock = time.strftime("%H:%M:%S", time.localtime(entry.time))
    machine = f"{safe_line(entry.machine, limit=40)}: " if entry.machine else ""
    style = STYLES[entry.severity]
    return Content.assemble(
        (f" {clock} ", "$text-muted"),
        (f"{MARKS[entry.severity]} ", style),
        (machine, "bold"),
        (safe_line(entry.text), style),
    )

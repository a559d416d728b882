"""Work that takes over a second, on standard error: title, percent and rate."""

import asyncio
import shutil
from typing import TextIO

from workstation.model.events import Activity
from workstation.model.text import safe_line
from workstation.model.units import format_left, format_size

PATIENCE = 1.0
"""Seconds that work may take before anything is said of it."""

_REDRAW = {True: 0.2, False: 5.0}
"""Seconds between two lines: overwritten in place on a terminal, else each a line that stays."""

_ERASE = "\r\x1b[K"


class ProgressLine:
    """What is going on, said again and again while it lasts; belongs to the running event loop."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._in_place = stream.isatty()
        self._current: dict[int, Activity] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._drawn = False

    def __call__(self, activity: Activity) -> None:
        if activity.finished:
            self._current.pop(activity.id, None)
        else:
            self._current[activity.id] = activity
        if not self._current:
            self._rest()
        elif not self._timer:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._tick)

    def erase(self) -> None:
        """Make room for another line; the progress comes again below it."""
        if self._drawn:
            self._drawn = False
            self._stream.write(_ERASE)
            self._stream.flush()

    def _rest(self) -> None:
        self.erase()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        delay = _REDRAW[self._in_place]
        self._timer = asyncio.get_running_loop().call_later(delay, self._tick)
        lines = [line(activity) for activity in self._current.values()]
        if self._in_place:
            more = f"   and {len(lines) - 1} more" if lines[1:] else ""
            self._draw(f"{lines[0]}{more}")
        else:
            self._stream.write("".join(f"{one}\n" for one in lines))
            self._stream.flush()

    def _draw(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"{_ERASE}{text[:width]}")
        self._stream.flush()
        self._drawn = True


def line(activity: Activity) -> str:
    """`  pull debian-12   64 %   12 MiB/s   8 s left`, as much of it as is known."""
    parts = [f"  {safe_line(activity.title)}"]
    if activity.total:
        parts.append(f"{min(1.0, activity.done / activity.total):4.0%}".replace("%", " %"))
    elif activity.done and activity.unit == "B":
        parts.append(format_size(activity.done))
    if activity.rate and activity.unit == "B":
        parts.append(f"{format_size(activity.rate)}/s")
        if activity.total:
            parts.append(format_left((activity.total - activity.done) / activity.rate))
    return "   ".join(parts) if len(parts) > 1 else f"{parts[0]} …"

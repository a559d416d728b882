"""A machine's history in one line: `○ image ── ◆ golden ── ● now  (2 h, 84 MiB since golden)`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from textual.content import Content

from workstation.model.text import safe_line
from workstation.model.units import format_size
from workstation.ui.past import Past, age, glyph_of, title_of

LINE = Content.styled(" ── ", "$text-muted")
LEFT_OUT = Content.styled("…", "$text-muted")
NOW = Content.assemble(("●", "$text-success"), " now")


def story(past: Past | None, width: int, now: float) -> Content:
    """At most `width` cells: first the oldest steps go, then the particulars of the newest."""
    if past is None:
        return Content.styled("…", "$text-muted")
    if past.trouble:
        return Content.styled(safe_line(past.trouble), "$text-warning")
    for since in (_since(past, now), _how_old(past, now), Content()):
        for steps in _shorter(_steps(past)):
            line = LINE.join([*steps, NOW]) + since
            if line.cell_length <= width:
                return line
    return NOW


def _shorter(steps: list[Content]) -> Iterator[list[Content]]:
    """All of them, then with more and more left out after the first, then the last one alone."""
    yield steps
    for left_out in range(1, len(steps) - 1):
        yield [*steps[:1], LEFT_OUT, *steps[1 + left_out :]]
    if len(steps) > 1:
        yield [LEFT_OUT, *steps[-1:]]


def _steps(past: Past) -> list[Content]:
    return [
        Content.assemble(glyph_of(entry), f" {safe_line(title_of(entry), limit=24)}")
        for entry in past.below
        if entry.tags or entry.parent is None
    ]


def _since(past: Past, now: float) -> Content:
    below = past.below
    if not below or not past.written:
        return _how_old(past, now)
    last = safe_line(title_of(below[-1]), limit=24)
    words = f"{_passed(below[-1].created, now)}, {format_size(past.written)} since {last}"
    return Content.styled(f"  ({words})", "$text-muted")


def _how_old(past: Past, now: float) -> Content:
    below = past.below
    words = f"  ({_passed(below[-1].created, now)})" if past.tags and below else "  no snapshot yet"
    return Content.styled(words, "$text-muted")


def _passed(moment: datetime, now: float) -> str:
    passed = age(moment, now)
    return "just now" if passed == "0 min" else passed

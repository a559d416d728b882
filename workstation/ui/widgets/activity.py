"""Long work, a row each: how far it is, how fast, how much longer, and how to cancel it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.style import Style
from textual.timer import Timer

from workstation.model.text import safe_line
from workstation.model.units import format_left, format_size
from workstation.ui.widgets.lines import Lines, between

if TYPE_CHECKING:
    from workstation.model.events import Activity

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
ROWS = 4
"""So many pieces of work are shown; more are counted."""


class ActivityStrip(Lines):
    """Not there while nothing goes on; its spinner turns only while something does."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, spin: bool = True) -> None:
        super().__init__(id=id)
        self._going: list[Activity] = []
        self._spin = spin
        self._phase = 0
        self._timer: Timer | None = None

    def on_mount(self) -> None:
        self._timer = self.set_interval(1 / 8, self._turn, pause=True)
        self.display = False

    def report(self, going: list[Activity]) -> None:
        """Show these; finished ones are no longer among them."""
        if bool(going) != bool(self._going):
            self.display = bool(going)
            if self._timer and self._spin:
                (self._timer.resume if going else self._timer.pause)()
        self._going = going
        self.styles.height = min(len(going), ROWS) + 1  # and its upper border
        self._lay_out()

    def on_resize(self) -> None:
        self._lay_out()

    def _turn(self) -> None:
        self._phase = (self._phase + 1) % len(SPINNER)
        self._lay_out()

    def _lay_out(self) -> None:
        width, spinner = self.size.width, SPINNER[self._phase]
        shown = self._going if len(self._going) <= ROWS else self._going[: ROWS - 1]
        lines = [row(activity, width, spinner) for activity in shown]
        if rest := len(self._going) - len(shown):
            lines.append(Content.styled(f"   and {rest} more", "$text-muted"))
        self.show(lines)


def row(activity: Activity, width: int, spinner: str) -> Content:
    """`⠋ export crm → STICK   ███████░░░░  64 %   212 MB/s   8 s left   x cancel`"""
    title = Content.assemble((f" {spinner} ", "$primary"), safe_line(activity.title, limit=120))
    figures = Content("   ").join([Content(text) for text in _figures(activity)])
    tail = Content("   ").join(part for part in (figures, _cancel(activity)) if part)
    room = width - title.cell_length - tail.cell_length - 6
    bar = _bar(activity, min(room, 40))
    return between(title + Content("   ") + bar, tail, width)


def _bar(activity: Activity, cells: int) -> Content:
    if not activity.total or cells < 6:
        return Content()
    full = round(cells * min(1.0, activity.done / activity.total))
    return Content.assemble(("█" * full, "$primary"), ("░" * (cells - full), "$text-muted"))


def _figures(activity: Activity) -> list[str]:
    def amount(number: float) -> str:
        return format_size(number) if activity.unit == "B" else f"{number:.0f}"

    figures = []
    if activity.total:
        figures.append(f"{min(100, round(100 * activity.done / activity.total))} %")
    elif activity.done:
        figures.append(amount(activity.done))
    if activity.rate:
        figures.append(f"{amount(activity.rate)}/s")
        if activity.total:
            figures.append(format_left((activity.total - activity.done) / activity.rate))
    return figures


def _cancel(activity: Activity) -> Content:
    if not activity.cancellable:
        return Content()
    click = Style.from_meta({"@click": f"screen.cancel({activity.id})"})
    return Content.assemble(("x", "bold $footer-key-foreground"), " cancel ").stylize(click)

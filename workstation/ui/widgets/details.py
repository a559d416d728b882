"""The machine under the cursor: how it does, what it says, what it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import getters, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content

from workstation.model.text import safe_line
from workstation.model.units import format_duration, format_size
from workstation.ui.guest_text import preview
from workstation.ui.looks import look_of
from workstation.ui.past import Past
from workstation.ui.spark import spark
from workstation.ui.story import story
from workstation.ui.widgets.facts import LABEL, facts
from workstation.ui.widgets.lines import Bar, Lines, between
from workstation.ui.widgets.thumbnail import Thumbnail

if TYPE_CHECKING:
    from workstation.model.machine import MachineView, Sample


class Preview(Lines):
    """The last lines that the guest printed on its serial line."""

    _put: tuple[bytes, bool] = (b"", True)

    def put(self, data: bytes, *, live: bool) -> None:
        self._put = (data, live)
        self._lay_out()

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        data, live = self._put
        texts = preview(data, lines=self.size.height, width=self.size.width)
        self.border_title = "console" if live else "last words"
        style = "" if live else "$text-muted"
        lines = [Content.styled(text, style) for text in texts]
        self.show(lines or [_note("nothing on the serial line yet")])


class Meters(Lines):
    """Sparklines with their numbers; only what can really be measured."""

    _put: tuple[MachineView, Sequence[Sample]] | None = None

    def put(self, view: MachineView, samples: Sequence[Sample]) -> None:
        self._put = (view, samples)
        self._lay_out()

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        if self._put and self.size.height == 1:
            self.show([meter_line(*self._put, self.size.width)])
        elif self._put:
            self.show(meters(*self._put, self.size.width))


class Facts(Lines):
    """What the machine is; as high as it needs to be, and scrolling where there is less room."""

    DEFAULT_CSS = "Facts { overflow: hidden auto; }"

    _put: tuple[MachineView, Past | None, float] | None = None

    def put(self, view: MachineView, past: Past | None, now: float) -> None:
        self._put = (view, past, now)
        self._lay_out()

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        if self._put and self.size.width:
            view, past, now = self._put
            history = story(past, self.size.width - LABEL, now)
            lines = facts(view, self.size.width, history)
            self.styles.height = len(lines)
            self.show(lines)


class Details(Vertical):
    """Everything about one machine, painted from its view and its samples."""

    title = getters.query_one("#title", Bar)
    picture = getters.query_one(Preview)
    thumbnail = getters.query_one(Thumbnail)
    figures = getters.query_one(Meters)
    facts = getters.query_one(Facts)

    view: MachineView | None = None

    def compose(self) -> ComposeResult:
        yield Bar(id="title")
        with Horizontal(id="picture"):
            yield Preview()
            yield Thumbnail()
            yield Meters()
        yield Facts()

    def show(self, view: MachineView, past: Past | None, now: float) -> None:
        """Another machine, or a new view of the same; `past` is None until it has been read."""
        self.view = view
        self.show_title(now)
        self.facts.put(view, past, now)

    def show_title(self, now: float) -> None:
        if self.view:
            self.title.put(_name(self.view), state_of(self.view, now))

    def show_life(self, samples: Sequence[Sample], serial: bytes) -> None:
        """What changes by itself while a machine runs."""
        if self.view:
            live = self.view.state.live
            self.figures.display = live
            self.query_one("#picture").display = live or bool(serial.strip())
            self.figures.put(self.view, samples)
            self.picture.put(serial, live=live)
            self.show_thumbnail()

    def show_thumbnail(self) -> None:
        """The screen where there is one; else what the guest has said on its serial line."""
        self.thumbnail.display = self.thumbnail.shows
        self.picture.display = not self.thumbnail.shows

    @on(Thumbnail.Changed)
    def _changed(self) -> None:
        self.show_thumbnail()


def _name(view: MachineView) -> Content:
    return Content.styled(safe_line(view.name, limit=80), "bold")


def state_of(view: MachineView, now: float) -> Content:
    look = look_of(view)
    state = Content.styled(f"{look.glyph} {look.word}", look.style)
    if not view.since:
        return state
    age = format_duration(now - view.since)
    return Content.assemble(state, (f"  {age}" if view.state.live else "", "$text-muted"))


def meters(view: MachineView, samples: Sequence[Sample], width: int) -> list[Content]:
    if not view.state.live:
        return []
    if not samples:
        return [_note("measuring…")]
    last, profile = samples[-1], view.profile
    memory = profile.memory if profile else max(sample.resident for sample in samples)
    cores = float(profile.cpu.count) if profile else 1.0
    cpu = [sample.cpu for sample in samples]
    resident = [float(sample.resident) for sample in samples]
    lines = [
        _meter("CPU", cpu, cores, f"{last.cpu * 100:.0f} %", width),
        _meter("RAM", resident, memory, format_size(last.resident), width),
        between(Content(), _note(f"of {format_size(memory)}"), width),
    ]
    lines += _disk("read", [sample.disk_read for sample in samples], width)
    return lines + _disk("write", [sample.disk_write for sample in samples], width)


def meter_line(view: MachineView, samples: Sequence[Sample], width: int) -> Content:
    """The same on one line, for small screens; the bars take what room the numbers leave."""
    if not samples or not view.state.live:
        return _note("measuring…") if view.state.live else Content()
    last, profile = samples[-1], view.profile
    percent = f"{last.cpu * 100:>4.0f} %"
    total = f" of {format_size(profile.memory)}" if profile else ""
    memory = Content.assemble(("RAM ", "$text-muted"), format_size(last.resident))
    whole = [memory, memory + Content(total)]
    if last.disk_read is not None and last.disk_write is not None:
        rate = format_size(last.disk_read + last.disk_write)
        whole.append(Content.assemble(("disk ", "$text-muted"), f"{rate}/s  ") + whole[1])
    room = width - len("CPU ") - len(percent) - 2
    right = next((told for told in reversed(whole) if told.cell_length <= room), Content())
    room = min(12, room - right.cell_length)
    cores = float(profile.cpu.count) if profile else 1.0
    bars = spark([sample.cpu for sample in samples], room, cores) if room > 0 else ""
    left = Content.assemble(("CPU ", "$text-muted"), (bars, "$primary"), percent)
    return between(left, right, width)


def _disk(label: str, rates: Sequence[float | None], width: int) -> list[Content]:
    known = [rate for rate in rates if rate is not None]
    if not known:
        return []
    top = max(2.0**20, *known)
    return [_meter(label, known, top, f"{format_size(known[-1])}/s", width)]


def _meter(label: str, values: Sequence[float], top: float, number: str, width: int) -> Content:
    bars = spark(values, max(4, width - 6 - 11), top)
    left = Content.assemble((f"{label:<6}", "$text-muted"), (bars, "$primary"))
    return between(left, Content(number), width)


def _note(text: str) -> Content:
    return Content.styled(text, "$text-muted")

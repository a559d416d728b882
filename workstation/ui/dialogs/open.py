"""A bundle before it runs: what is in it, from whom, and what this computer lacks for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from workstation.errors import WorkstationError
from workstation.model.text import safe_line
from workstation.model.units import format_size
from workstation.ui.dialogs.dialog import Dialog, sentence
from workstation.ui.widgets.screen_picture import ScreenPicture

if TYPE_CHECKING:
    from workstation.core.bundle.inspection import Report
    from workstation.core.workstation import Workstation
    from workstation.model.host import Finding


class Wish(NamedTuple):
    how: str
    """`run`, `settle` or `import`."""
    report: Report


NOTHING = "No bundle on what is plugged in, nor in your home directory. Type the path of one."


class OpenDialog(Dialog[Wish | None]):
    """Answers what to do with which bundle, or None."""

    AUTO_FOCUS = "#bundles"

    list_box = getters.query_one("#bundles", OptionList)
    picture = getters.query_one(ScreenPicture)
    path_box = getters.query_one("#path", Input)
    facts = getters.query_one("#facts", Static)

    def __init__(self, station: Workstation, bundles: Sequence[Path], path: Path | None) -> None:
        super().__init__(cancelled=None)
        self._station, self._bundles = station, list(bundles)
        if path and path not in self._bundles:
            self._bundles.insert(0, path)
        self._first = self._bundles.index(path) if path else 0
        self._suggested = ""
        self.report: Report | None = None
        self.looked = not self._bundles
        """Whether what is shown is of the path that is typed."""

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-large") as frame:
            frame.border_title = "Open a bundle"
            with Horizontal(id="top"):
                yield OptionList(*map(_row, self._bundles), id="bundles")
                yield ScreenPicture()
            with Horizontal(classes="field"):
                yield Static("File", classes="muted field-label")
                yield Input(id="path", compact=True, max_length=1000)
            with VerticalScroll(id="told", can_focus=False):
                yield Static(id="facts")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Import", id="import")
                yield Button("Run and settle in", id="settle")
                yield Button("Run from here", id="run")

    def on_mount(self) -> None:
        self.path_box.cursor_blink = False
        self.picture.put(None, " ")
        self._show(None, Content() if self._bundles else Content.styled(NOTHING, "$text-muted"))
        if self._bundles:
            self.list_box.highlighted = self._first
        else:
            self.path_box.focus()

    # -- which ----------------------------------------------------------------

    @on(OptionList.OptionHighlighted)
    def _choose(self) -> None:
        row = self.list_box.highlighted
        if row is not None:
            self._suggested = str(self._bundles[row])
            self.path_box.value = self._suggested

    @on(Input.Changed)
    def _changed(self) -> None:
        self.looked = False
        self._look()

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    def _to_buttons(self) -> None:
        self.query_one("#run").focus()

    # -- what it is -----------------------------------------------------------

    @work(group="look", exclusive=True, exit_on_error=False)
    async def _look(self) -> None:
        path = self._path()
        try:
            report = await self._station.carry.inspect(path)
        except WorkstationError as error:
            self._show(None, _trouble(error))
            self.picture.put(None, " ")
        else:
            self._show(report, Content("\n").join(_lines(report)))
            shot = await asyncio.to_thread(self._station.inplace.picture, report)
            self.picture.put(shot, "" if shot else "no picture")
        self.looked = True

    def _path(self) -> Path:
        return Path(self.path_box.value.strip()).expanduser()

    def _show(self, report: Report | None, told: Content) -> None:
        self.report = report
        self.facts.update(told)
        for name in ("import", "settle", "run"):
            inside = name == "import" or (report is not None and report.in_place)
            self.query_one(f"#{name}").disabled = report is None or not inside

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        how = event.button.id or ""
        self.dismiss(Wish(how, self.report) if self.report and how != "cancel" else None)


def _row(path: Path) -> Option:
    name = safe_line(path.name, limit=60)
    return Option(Content(name).truncate(36, ellipsis=True))


def _trouble(error: WorkstationError) -> Content:
    lines = [Content.styled(sentence(safe_line(str(error), limit=300)), "$text-warning")]
    if error.hint:
        lines.append(Content.styled(f"→ {safe_line(error.hint, limit=300)}", "$text-accent"))
    return Content("\n").join(lines)


def _lines(report: Report) -> Iterator[Content]:
    """What a person wants to know before it runs, the most important first."""
    manifest, machine = report.manifest, report.manifest.machine
    made = time.strftime("%Y-%m-%d %H:%M", manifest.created.timetuple())
    by = f" by {safe_line(manifest.program, limit=40)}" if manifest.program else ""
    yield Content.assemble(
        (safe_line(machine.name, limit=40), "bold"),
        f"   made {made} UTC{by}   {format_size(report.size)}",
    )
    yield Content(f"{_holds(report)}, {_counted(len(manifest.layers), 'layer')}"
                  f", {_counted(len(machine.snapshots), 'snapshot')}")  # fmt: skip
    if report.cut_off:
        yield Content.styled("An export onto it was cut off: this is what was in it before.", "")
    yield from (_finding(finding) for finding in report.findings if _matters(finding))
    if not report.in_place:
        yield Content.styled("! It cannot run from where it is: import it.", "$text-warning")


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _holds(report: Report) -> str:
    if not report.manifest.machine.resume:
        return "It boots from its disks"
    return "It goes on where it was" if report.resumes else "With memory, but it boots here"


def _matters(finding: Finding) -> bool:
    return finding.level != "ok" or finding.subject == "signature"


def _finding(finding: Finding) -> Content:
    """`✗ memory: it ran under kvm, and here it would under tcg → boot it`"""
    sign, style = {"ok": ("✓", "$text-success"), "note": ("!", "$text-warning")}.get(
        finding.level, ("✗", "$text-error")
    )
    mend = f" → {finding.mend}" if finding.mend else ""
    text = safe_line(f"{finding.subject}: {finding.text}{mend}", limit=400)
    return Content.assemble((f"{sign} ", style), text)

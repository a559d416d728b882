"""The wizard: three steps in one frame. Three Enters make and start the default."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, ContentSwitcher, OptionList, Static

from workstation.errors import WorkstationError
from workstation.model.text import safe_line
from workstation.ui.dialogs.dialog import STYLES, Dialog
from workstation.ui.dialogs.error import ErrorDialog
from workstation.ui.new.cards import Cards
from workstation.ui.new.form import Form
from workstation.ui.new.review import Review
from workstation.ui.new.wish import Source, Wish, free_name

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.profile import Profile

STEPS = {"first": "what it is made from", "form": "how it shall be", "review": "a last look"}

_KEYS = {
    "first": "enter next · esc close",
    "form": "enter next · ctrl+s create and start · esc back",
    "review": "e edit the text · ctrl+s create and start · esc back",
}

_FOCUS = {"first": "#cards", "form": "#name", "review": "#start"}


class NewDialog(Dialog[Wish | None]):
    """Answers what to make, or None."""

    CSS_PATH: ClassVar[str | PurePath | list[str | PurePath] | None] = [STYLES, "new.tcss"]
    AUTO_FOCUS = "#cards"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "make(True)", show=False),
        Binding("ctrl+b", "back", show=False),
        Binding("e", "edit", show=False),
    ]

    cards = getters.query_one(Cards)
    form = getters.query_one(Form)
    review = getters.query_one(Review)
    steps = getters.query_one(ContentSwitcher)
    trouble = getters.query_one("#trouble", Static)

    def __init__(self, station: Workstation, again: Wish | None = None) -> None:
        """With what could not be made, it begins at the last look."""
        super().__init__(cancelled=None)
        self._station = station
        self._again = again
        self._based_on = again.based_on if again else ""
        self._fatal = False

    def compose(self) -> ComposeResult:
        with Vertical(id="frame", classes="-large"):
            with ContentSwitcher(initial="first"):
                with Vertical(id="first"):
                    yield Cards(self._station.profiles())
                    yield Static(id="facts", classes="muted")
                    yield Static(id="trouble")
                yield Form(self._station.making)
                yield Review(self._station.making)
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Back", id="back")
                yield Button("Next", id="next")
                yield Button("Create", id="create")
                yield Button("Create and start", id="start")

    def on_mount(self) -> None:
        if self._again and self._again.profile:
            self.form.show(self._again.profile, self._again.name)
            self.review.show(self._again.profile)
            self._go("review")
        else:
            self._go("first")

    # -- steps --------------------------------------------------------------

    @property
    def _step(self) -> str:
        return self.steps.current or "first"

    def _go(self, step: str) -> None:
        self.steps.current = step
        number = list(STEPS).index(step) + 1
        frame = self.query_one("#frame")
        frame.border_title = f"New machine · {number} of {len(STEPS)}: {STEPS[step]}"
        frame.border_subtitle = _KEYS[step]
        for button in self.query(Button):
            button.display = button.id in _buttons(step)
        self._allow(fatal=False)
        self.query_one(_FOCUS[step]).focus()

    def _allow(self, *, fatal: bool) -> None:
        self._fatal = fatal
        onward = list(self.query("#next, #create, #start").results(Button))
        if fatal and self.focused in onward:
            self.query_one("#back").focus()  # or the keyboard would go to Cancel
        for button in onward:
            button.disabled = fatal

    def action_back(self) -> None:
        """One step back; what was changed in the text is in the form then."""
        if self._step == "review":
            profile = self.review.profile or self.form.profile
            if profile:
                self.form.show(profile, profile.name)
            self._go("form")
        elif self._step == "form":
            self._go("first")

    def action_edit(self) -> None:
        """Type into the text of the last look."""
        if self._step == "review":
            self.review.text.focus()

    def action_cancel(self) -> None:
        """Escape: one step back, so that a key too much does not cost all the answers."""
        if self._step == "first":
            self.dismiss(None)
        else:
            self.action_back()

    # -- the first step -----------------------------------------------------

    @on(OptionList.OptionHighlighted, "#cards")
    def _tell(self) -> None:
        entry, text, trouble = self.cards.entry, "", ""
        if entry:
            try:
                text = _facts(self._station.load_profile(str(entry.name)))
            except WorkstationError as error:
                trouble = str(error)
        self.query_one("#facts", Static).update(Content(text))
        self.trouble.update(Content.styled(safe_line(trouble, limit=300), "$text-warning"))

    @on(Cards.Chosen)
    def _chosen(self, event: Cards.Chosen) -> None:
        if event.source:
            self._ask(event.source)
            return
        try:
            profile = self._station.load_profile(event.profile)
        except WorkstationError as error:
            self.app.push_screen(ErrorDialog(error))
        else:
            self._begin(Source(profile, event.profile))

    @work(group="source", exclusive=True)
    async def _ask(self, kind: str) -> None:
        """Another source has a question of its own."""
        from workstation.ui.new import sources

        try:
            answer = await sources.ask(self.app, self._station, kind)
        except WorkstationError as error:
            self.app.push_screen(ErrorDialog(error))
            return
        if isinstance(answer, Wish):
            self.dismiss(answer)
        elif answer:
            self._begin(answer)

    def _begin(self, source: Source) -> None:
        self._based_on = source.based_on
        name = free_name(source.profile.name, self._station.machines)
        self.form.show(source.profile, name)
        self._go("form")

    # -- the other two ------------------------------------------------------

    @on(Form.Checked)
    @on(Review.Checked)
    def _checked(self, event: Form.Checked | Review.Checked) -> None:
        ours = "form" if isinstance(event, Form.Checked) else "review"
        if self._step == ours:
            self._allow(fatal=event.fatal)

    @on(Form.Done)
    def _next(self) -> None:
        if self._step != "form" or self._fatal:
            return
        # The look at the last key may still be going on.
        if profile := self.form.current():
            self.review.show(profile.model_copy(update={"name": self.form.machine}))
            self._go("review")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        match event.button.id:
            case "cancel":
                self.dismiss(None)
            case "back":
                self.action_back()
            case "next" if self._step == "first":
                self.cards.action_select()
            case "next":
                self._next()
            case pressed:
                self.action_make(pressed == "start")

    def action_make(self, start: bool) -> None:
        """Make it, from the step that is shown."""
        if self._step == "form":
            self._next()
        profile = self.review.profile if self._step == "review" else None
        if profile and not self._fatal:
            self.dismiss(Wish(profile.name, profile, self._based_on, start))


def _buttons(step: str) -> set[str]:
    own = {"first": {"next"}, "form": {"back", "next"}, "review": {"back", "create", "start"}}
    return {"cancel", *own[step]}


def _facts(profile: Profile) -> str:
    from workstation.model.units import format_size

    count = profile.cpu.count
    disks = [format_size(drive.size) for drive in profile.drives if drive.size]
    forwards = [str(forward) for network in profile.networks for forward in network.forwards]
    parts = [
        f"{count} CPU" + "s" * (count > 1),
        f"{format_size(profile.memory)} memory",
        "disk " + " + ".join(disks) if disks else "",
        "opens " + ", ".join(forwards) if forwards else "",
        profile.boot.firmware,
    ]
    return safe_line(" · ".join(part for part in parts if part))

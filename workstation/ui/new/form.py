"""The second step: hardware, what it starts from, who logs in; checked while it is typed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from workstation.errors import InvalidError
from workstation.model.text import safe_line
from workstation.model.units import exact_size
from workstation.ui.dialogs.dialog import sentence
from workstation.ui.widgets.boxes import Box

if TYPE_CHECKING:
    from workstation.core.making.verbs import Making
    from workstation.model.profile import Profile


class Field(NamedTuple):
    key: str
    label: str
    placeholder: str


FIELDS = (
    Field("name", "Name", "of the machine"),
    Field("memory", "Memory", "such as 2 GiB"),
    Field("cpus", "CPUs", "such as 2"),
    Field("disk", "Disk", "as large as its image"),
    Field("image", "Image", "a blank disk"),
    Field("iso", "Disc", "none: a name, or a path"),
    Field("user", "User", "nobody: it is not set up"),
    Field("key", "SSH key", "yours, or one made for it"),
    Field("hostname", "Hostname", "the machine's name"),
)

SUBJECTS = {"ports": "ports", **{field.key: field.key for field in FIELDS}}


class Form(VerticalScroll, can_focus=False):
    """Values as texts; `profile` is what they make, `name` the machine's name."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]

    class Checked(Message):
        """What is typed was looked at: `fatal` says that no machine can be made of it."""

        def __init__(self, fatal: bool) -> None:
            super().__init__()
            self.fatal = fatal

    class Done(Message):
        """Enter in a field."""

    def __init__(self, making: Making) -> None:
        super().__init__(id="form")
        self._making = making
        self._basis: Profile | None = None
        self._shown: dict[str, str] = {}
        self.profile: Profile | None = None

    def compose(self) -> ComposeResult:
        for field in FIELDS:
            with Horizontal(classes="field"):
                yield Static(field.label, classes="muted field-label")
                yield Box(placeholder=field.placeholder, id=field.key, compact=True, max_length=400)
                yield Static(id=f"{field.key}-remark", classes="remark")
        with Horizontal(classes="field"):
            yield Static("Ports", classes="muted field-label")
            yield Static(id="ports")
            yield Static(id="ports-remark", classes="remark")

    def on_mount(self) -> None:
        for box in self.query(Input):
            box.cursor_blink = False

    def _box(self, key: str) -> Input:
        return self.query_one(f"#{key}", Input)

    @property
    def machine(self) -> str:
        """The name that was typed."""
        return self._box("name").value

    def show(self, profile: Profile, name: str) -> None:
        """Begin with that profile."""
        self._basis = self.profile = profile
        self._shown = {"name": name, **dict(_values(profile))}
        for key, value in self._shown.items():
            self._box(key).value = value
        forwards = [str(rule) for net in profile.networks for rule in net.forwards]
        self.query_one("#ports", Static).update(Content(safe_line(", ".join(forwards) or "none")))
        self._check()

    def current(self) -> Profile | None:
        """What is typed at this moment; None where it makes no profile."""
        if self._basis is not None:
            self._apply(self._basis)
        return self.profile

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._check()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Done())

    @work(group="form", exclusive=True)
    async def _check(self) -> None:
        """Look at all of it anew; the newest look is the one that counts."""
        if self._basis is None:
            return
        problems = self._apply(self._basis)
        profile = self.profile or self._basis
        found = await self._making.remarks(self.machine, profile)
        said = {one.subject: (one.text, one.fatal) for one in reversed(found)}
        for key, text in problems.items():
            said[key] = (text, True)  # type: ignore[index]
        self._remark({str(key): value for key, value in said.items()})
        self.post_message(self.Checked(any(fatal for _, fatal in said.values())))

    def _apply(self, basis: Profile) -> dict[str, str]:
        """Make the profile of what is typed; returns what is wrong, by field."""
        texts = {
            field.key: self._box(field.key).value.strip()
            for field in FIELDS
            if field.key != "name" and self._box(field.key).value != self._shown[field.key]
        }
        try:
            self.profile = self._making.with_answers(basis, **texts)
        except InvalidError as error:
            self.profile = None
            return dict(_by_field(error))
        return {}

    def _remark(self, said: dict[str, tuple[str, bool]]) -> None:
        for key in (*(field.key for field in FIELDS), "ports"):
            text, fatal = said.get(key, ("", False))
            colour = "$text-error" if fatal else "$text-warning"
            sign = "" if not text else "✗ " if fatal else "! "
            words = f"{sign}{sentence(safe_line(text, limit=200))}"
            self.query_one(f"#{key}-remark", Static).update(Content.styled(words, colour))


def _values(profile: Profile) -> Iterator[tuple[str, str]]:
    drive = profile.drives[0] if profile.drives else None
    disc = profile.cdroms[0] if profile.cdroms else None
    yield "memory", exact_size(profile.memory)
    yield "cpus", str(profile.cpu.count)
    yield "disk", exact_size(drive.size) if drive and drive.size else ""
    yield "image", (drive and drive.image) or ""
    yield "iso", (disc and disc.image) or ""
    provision = profile.provision
    yield "user", provision.user or ""
    yield "key", "" if provision.ssh_key == "auto" else provision.ssh_key
    yield "hostname", provision.hostname or ""


def _by_field(error: InvalidError) -> Iterator[tuple[str, str]]:
    """Problems of options by the field that stands for the option."""
    for problem in getattr(error, "problems", ()):
        key = problem.file.removeprefix("--").partition(" ")[0]
        yield (key if key in SUBJECTS else "disk"), problem.sentence

"""The third step: the profile's YAML, to be looked at and changed, with the validator beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static, TextArea

from workstation.errors import InvalidError
from workstation.model.text import safe_line
from workstation.ui.dialogs.dialog import sentence
from workstation.ui.widgets.boxes import Editor

if TYPE_CHECKING:
    from workstation.core.making.remarks import Remark
    from workstation.core.making.verbs import Making
    from workstation.model.profile import Profile

SHOWN = 3
"""Problems and remarks that have room below the text."""


class Review(Vertical):
    """`profile` is what the text says; None while it has problems."""

    text = getters.query_one(TextArea)
    messages = getters.query_one("#messages", Static)

    class Checked(Message):
        def __init__(self, fatal: bool) -> None:
            super().__init__()
            self.fatal = fatal

    def __init__(self, making: Making) -> None:
        super().__init__(id="review")
        self._making = making
        self.profile: Profile | None = None

    def compose(self) -> ComposeResult:
        yield Editor("", id="yaml", show_line_numbers=True, compact=True, tab_behavior="focus")
        yield Static(id="messages")

    def on_mount(self) -> None:
        self.text.cursor_blink = False

    def show(self, profile: Profile) -> None:
        self.profile = profile
        self.text.load_text(self._making.text(profile))
        self._check()

    @on(TextArea.Changed)
    def _changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._check()

    @work(group="review", exclusive=True)
    async def _check(self) -> None:
        try:
            self.profile = self._making.parse(self.text.text)
        except InvalidError as error:
            self.profile = None
            self._say(
                [_place(problem) for problem in getattr(error, "problems", ())], "$text-error"
            )
            self.post_message(self.Checked(fatal=True))
            return
        found = await self._making.remarks(self.profile.name, self.profile)
        fatal = any(one.fatal for one in found)
        colour = "$text-error" if fatal else "$text-warning"
        self._say([_remark(one) for one in found], colour)
        self.post_message(self.Checked(fatal))

    def _say(self, lines: list[str], colour: str) -> None:
        if len(lines) > SHOWN:
            lines = [*lines[: SHOWN - 1], f"… and {len(lines) - SHOWN + 1} more"]
        self.messages.update(Content.styled("\n".join(lines), colour))


def _place(problem: object) -> str:
    line, column = getattr(problem, "line", 0), getattr(problem, "column", 0)
    key, words = getattr(problem, "key", ""), getattr(problem, "sentence", "")
    text = f"line {line}:{column}  {key}: {words}" if key else f"line {line}:{column}  {words}"
    return safe_line(text, limit=200)


def _remark(remark: Remark) -> str:
    sign = "✗" if remark.fatal else "!"
    return safe_line(f"{sign} {remark.subject}: {sentence(remark.text)}", limit=200)

"""A list of options to choose from."""

from __future__ import annotations

from textual.widgets import OptionList


class Options(OptionList):
    """Pages only when it has been laid out: before that Textual's own fails on its lines."""

    def action_page_up(self) -> None:
        if self.size:
            super().action_page_up()  # type: ignore[no-untyped-call]

    def action_page_down(self) -> None:
        if self.size:
            super().action_page_down()  # type: ignore[no-untyped-call]

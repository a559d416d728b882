"""Every screen and dialog is left once, and its work ends before its widgets are gone."""

from __future__ import annotations

from typing import Generic

from textual.await_complete import AwaitComplete
from textual.screen import Screen, ScreenResultType


def is_on_top(screen: Screen[ScreenResultType]) -> bool:
    return screen.is_attached and screen.app.screen is screen


class LeftOnce(Screen[ScreenResultType], Generic[ScreenResultType]):
    """Two keys that arrive in one go are both for the screen that they were typed on: the second
    must not take away the screen below, which Textual does (of the last one it says that there is
    none to take, and the program has ended)."""

    is_ready = False
    """Whether it takes keys: it has its widgets, and one of them the keyboard."""

    def on_screen_resume(self) -> None:
        self.call_later(self._get_ready)

    def _get_ready(self) -> None:
        self.is_ready = True

    def _on_prune(self) -> None:
        """Textual ends a widget's workers after it has taken its children away: one that draws on
        them in between would end the program."""
        for worker in self.workers:
            if self in worker.node.ancestors_with_self:
                worker.cancel()

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        if not self.is_mounted:
            self.call_later(self._dismiss, result)  # or it would never get its widgets, and fail
        elif is_on_top(self):
            return super().dismiss(result)
        return AwaitComplete()

    def _dismiss(self, result: ScreenResultType | None) -> None:
        self.dismiss(result)

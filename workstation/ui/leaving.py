"""Every screen and dialog is left once, and its work ends before its widgets are gone."""

from __future__ import annotations

from typing import Generic

from textual.await_complete import AwaitComplete
from textual.screen import Screen, ScreenResultType


class LeftOnce(Screen[ScreenResultType], Generic[ScreenResultType]):
    """Two keys that arrive in one go are both for the screen that they were typed on: the second
    must not take away the screen below, which Textual does (of the last one it says that there is
    none to take, and the program has ended)."""

    def _on_prune(self) -> None:
        """Textual ends a widget's workers after it has taken its children away: one that draws on
        them in between would end the program."""
        for worker in self.workers:
            if self in worker.node.ancestors_with_self:
                worker.cancel()

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        on_top = self.is_attached and self.app.screen is self
        return super().dismiss(result) if on_top else AwaitComplete()

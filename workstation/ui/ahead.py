"""What is typed while a screen is being opened is typed on that screen, when it is there."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from textual import events
from textual.app import App, ScreenStackError

from workstation.ui.leaving import LeftOnce

LOOK = 0.005
"""Seconds between two looks whether it is there."""


class Ahead:
    """Keys that wait, in their order."""

    def __init__(self, app: App[None], take: Callable[[events.Event], Awaitable[None]]) -> None:
        self._app = app
        self._take = take
        self._waiting: deque[events.Event] = deque()

    def holds(self, event: events.Event) -> bool:
        """Whether it is taken later, or by nobody: the program ends."""
        if not self._waiting and self._is_ready():
            return not self._app.screen_stack
        self._waiting.append(event)
        if len(self._waiting) == 1:
            self._app.set_timer(LOOK, self._look)
        return True

    def _is_ready(self) -> bool:
        try:
            screen = self._app.screen
        except ScreenStackError:  # the program ends
            return True
        return screen.is_ready if isinstance(screen, LeftOnce) else screen.is_mounted

    async def _look(self) -> None:
        while self._waiting and self._is_ready():
            await self._take(self._waiting.popleft())
        if self._waiting:
            self._app.set_timer(LOOK, self._look)

"""What is asked of the terminal itself, past Textual: whether it has taken everything."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App

ASK_POSITION = "\x1b[6n"
"""DSR: where the cursor is (ECMA-48). Every terminal answers, once it has worked off what was
written before; over a network that is the only way to know."""
PATIENCE = 2.0
"""Seconds after which an answer is not waited for any more."""
UNANSWERED = 2
"""Questions in vain after which none is asked again."""


class Drain:
    """Waits until the terminal has shown what was written."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._answer: asyncio.Event | None = None
        self._in_vain = 0

    def answered(self) -> None:
        """The terminal has told the cursor's position."""
        self._in_vain = 0
        if self._answer:
            self._answer.set()

    async def wait(self) -> None:
        """Call it when a frame has been written."""
        driver = self._app._driver
        if driver is None or self._app.is_headless or self._in_vain >= UNANSWERED:
            return
        self._answer = asyncio.Event()
        driver.write(ASK_POSITION)
        driver.flush()
        self._in_vain += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._answer.wait()

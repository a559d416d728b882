"""What a terminal answers to questions of ours, taken out of what Textual reads as keys.

Importing it is what puts it in place, before the program's input is read.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers import linux_driver
from textual.message import Message

_WHOLE = re.compile(r"\x1b_G([^\x1b]{0,200})\x1b\\|\x1b\[(\?[\d;]{1,60}c|6;\d{1,4};\d{1,4}t)")
"""An answer of the graphics protocol; to DA1 (ECMA-48); to the question for a cell's size."""
_BEGUN = re.compile(r"\x1b(_(G[^\x1b]{0,200}\x1b?)?)?$")

ATTRIBUTES = "\x1b[c"
"""DA1: every terminal answers it, and after all that was asked before."""

_listeners: list[Callable[[str], None]] = []


class Replies(XTermParser):
    """Answers go to whoever has asked; without a question nothing is held back."""

    _held = ""

    def feed(self, data: str) -> Iterable[Message]:
        if not data or not (_listeners or self._held):
            return super().feed(data)
        text = _WHOLE.sub(self._take, self._held + data)
        begun = _BEGUN.search(text)
        self._held = text[begun.start() :] if begun and _listeners else ""
        text = text[: len(text) - len(self._held)]
        return super().feed(text) if text else ()

    @staticmethod
    def _take(found: re.Match[str]) -> str:
        for listener in tuple(_listeners):
            listener(found[1] if found[1] is not None else found[2])
        return ""


linux_driver.XTermParser = Replies  # type: ignore[attr-defined]


async def ask(app: App[Any], question: str, seconds: float) -> list[str]:
    """Every answer to the question that comes in that time; none where nothing answers."""
    driver = app._driver
    if driver is None or app.is_headless:
        return []
    loop, answers, ended = asyncio.get_running_loop(), list[str](), asyncio.Event()

    def hear(answer: str) -> None:
        """In the thread that reads the keyboard."""
        answers.append(answer)
        if answer.endswith("c") and answer.startswith("?"):
            loop.call_soon_threadsafe(ended.set)

    _listeners.append(hear)
    try:
        driver.write(question + ATTRIBUTES)
        driver.flush()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await ended.wait()
    finally:
        _listeners.remove(hear)
    return answers

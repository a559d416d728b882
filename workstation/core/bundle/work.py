"""Long work on files in a thread: told of as it goes, given up when it is cancelled."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from workstation.core.activities import Progress

Result = TypeVar("Result")

_TELL_SECONDS = 0.1


class GivenUpError(Exception):
    """The person cancelled; only the thread that works sees this."""


class Told:
    """What the work calls with the bytes that it has done since it called last."""

    def __init__(self, progress: Progress, total: float) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._last = 0.0
        self._loop = asyncio.get_running_loop()
        self.given_up = threading.Event()

    def __call__(self, done: int) -> None:
        """Raises GivenUpError once nobody wants the work any more."""
        if self.given_up.is_set():
            raise GivenUpError
        self._done += done
        now = time.monotonic()
        if now - self._last >= _TELL_SECONDS:
            self._last = now
            self._loop.call_soon_threadsafe(self._tell, self._done)

    def _tell(self, done: int) -> None:
        if not self.given_up.is_set():
            self._progress("", done, max(self._total, done))


async def in_thread(work: Callable[[Told], Result], progress: Progress, total: float = 0) -> Result:
    """What `work` returns; `total` is in bytes. A cancellation waits until it has stopped."""
    told = Told(progress, total)
    task = asyncio.ensure_future(asyncio.to_thread(work, told))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        told.given_up.set()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # fetched, whatever it is
        raise
    finally:
        told.given_up.set()

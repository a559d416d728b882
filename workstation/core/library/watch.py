"""The machines' directory, watched: every change of a file becomes a call in the event loop."""

import asyncio
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

# Never “modified”: a guest that writes to its disk would flood us. Who writes in place closes.
_KINDS: list[type[FileSystemEvent]] = [
    DirCreatedEvent, DirDeletedEvent, DirMovedEvent,
    FileClosedEvent, FileCreatedEvent, FileDeletedEvent, FileMovedEvent,
]  # fmt: skip


QUIET = 0.03
"""Seconds between two calls for the same machine: a start touches ten files within a few ms."""


class Watch(FileSystemEventHandler):
    """Calls `touched` with the name of each machine whose directory or files changed."""

    def __init__(self, machines: Path, touched: Callable[[str], None]) -> None:
        self._machines = machines
        self._touched = touched
        self._loop = asyncio.get_running_loop()
        self._observer = Observer()
        self._waiting: set[str] = set()
        self._told: dict[str, float] = {}
        self._open = True

    def __enter__(self) -> "Watch":
        # Said where a new directory is found twice, by its event and by a look; harmless.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning, "watchdog")
        self._observer.schedule(self, str(self._machines), recursive=True, event_filter=_KINDS)
        self._observer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        # It stumbles over a directory that it has found twice; its threads end with the program.
        with suppress(KeyError):
            self._observer.stop()
            self._observer.join(timeout=5)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """In watchdog's thread."""
        names = {self._machine_of(str(path)) for path in (event.src_path, event.dest_path) if path}
        fresh = names - self._waiting - {""}
        if fresh and self._open:
            self._waiting |= fresh
            self._loop.call_soon_threadsafe(self._tell, fresh)

    def _machine_of(self, path: str) -> str:
        relative = path.removeprefix(f"{self._machines}/")
        return "" if relative == path else relative.partition("/")[0]

    def _tell(self, names: set[str]) -> None:
        """The first change is told at once, those right after it together."""
        for name in sorted(names):
            due = self._told.get(name, 0.0) + QUIET
            self._loop.call_at(max(due, self._loop.time()), self._tell_now, name)

    def _tell_now(self, name: str) -> None:
        self._waiting.discard(name)
        self._told[name] = self._loop.time()
        if self._open:
            self._touched(name)

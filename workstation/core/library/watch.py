"""The machines' directory, watched: every change of a file becomes a call in the event loop.

Of watchdog only what lies next to inotify(7) is used. Its observer watches each directory below,
a guest's disks' among them, and takes three threads that wake each other for every event; while a
machine starts, which changes ten files in its directory, that took a millisecond or two from it.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from workstation.core.library import names
from workstation.errors import HostError

# Never “modified”: a guest that writes to its disk would flood us. Who writes in place closes.
_MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_CLOSE_WRITE
)

_ID = CallbackId(0)

QUIET = 0.03
"""Seconds from a change to its call: what changes meanwhile is told with it."""


class Watch:
    """Calls `touched` with the name of each machine that came or went, or whose files changed."""

    def __init__(self, machines: Path, touched: Callable[[str], None]) -> None:
        self._machines = machines
        self._touched = touched
        self._loop = asyncio.get_running_loop()
        self._reader = _Reader(self._tell)
        self._names: dict[WatchDescriptor, str] = {}
        self._changed: set[str] = set()

    def __enter__(self) -> "Watch":
        """Raises HostError where the host has no more room for that."""
        try:
            self._root = self._add(self._machines)
            for directory in self._machines.iterdir():
                self._follow(directory.name)
        except OSError as error:
            self._reader.close()
            raise HostError(
                f"the machines' files cannot be watched: {error.strerror}",
                hint="sudo sysctl fs.inotify.max_user_watches=524288"
                " fs.inotify.max_user_instances=512",
            ) from error
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.stop()
        self._reader.join(timeout=5)

    def _add(self, directory: Path) -> WatchDescriptor:
        return self._reader.add_callback(os.fsencode(directory), _MASK, self, _ID)

    def _follow(self, name: str) -> None:
        """Watch that machine's own directory, which need not be there any more."""
        with suppress(FileNotFoundError):
            self._names[self._add(self._machines / name)] = name

    def _leave(self, name: str) -> None:
        left = [watch for watch, its in self._names.items() if its == name]
        self._reader.remove_callbacks([(watch, _ID) for watch in left])
        for watch in left:
            del self._names[watch]

    # -- in the reader's thread ---------------------------------------------------

    def on_event(self, event: InotifyEvent) -> None:
        if event.wd != self._root:
            if name := self._names.get(event.wd):
                self._changed.add(name)
            return
        name = os.fsdecode(event.name)
        self._changed.add(name)
        if event.is_moved_from:
            self._leave(name)
        elif event.is_directory and (event.is_create or event.is_moved_to):
            with suppress(OSError):  # the host has no room for one more: it is looked at less often
                self._follow(name)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        self._names.pop(wd, None)

    def on_queue_overflow(self) -> None:
        """Anything may have changed."""
        self._changed.update(self._names.values(), names.below(str(self._machines)))

    def _tell(self) -> None:
        changed, self._changed = self._changed, set()
        self._loop.call_soon_threadsafe(self._tell_now, sorted(changed))

    def _tell_now(self, changed: list[str]) -> None:
        for name in changed:
            if self._reader.should_keep_running():
                self._touched(name)


class _Reader(InotifyFD):
    """Calls `told` after each batch of events."""

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__()
        self._told = told

    def run(self) -> None:
        while self.should_keep_running():
            events = self.read_events()
            if not self.stopped_event.wait(QUIET):
                for event in events:
                    self.handle_event(event)
                self._told()

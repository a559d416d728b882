"""One Workstation for one command, and what is told while it is at work."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from workstation.cli.progress import ProgressLine
from workstation.cli.showing import as_data, reachable
from workstation.cli.trouble import warn
from workstation.core.workstation import Workstation
from workstation.model.events import Activity, Event, Logged, Severity
from workstation.model.text import safe_line
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call


@asynccontextmanager
async def station(
    command: str, *names: str, progress: bool = False, line: bool = False
) -> AsyncIterator[Workstation]:
    """The machines of those names. Warnings go to standard error, steps too where `progress`.

    With `line`, so does what takes over a second, with percent and rate.
    """
    paths = Paths.from_environment()
    entered = Workstation(paths, front_end=f"workstation {command}", only=names, watch=False)
    async with entered as found:
        undo = found.subscribe(_Teller(progress, ProgressLine(sys.stderr) if line else None))
        try:
            yield found
            # What was asked for is done and printed: nobody waits for what comes on top of it.
            sys.stdout.flush()
            await found.errands_done()
        finally:
            undo()


class _Teller:
    """Tells each step once, as it begins."""

    def __init__(self, progress: bool, line: ProgressLine | None) -> None:
        self._progress = progress
        self._line = line
        self._last = ""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Logged) and event.severity is Severity.WARNING:
            if self._line:
                self._line.erase()
            warn(f"“{event.machine}”: {event.text}")
        elif self._line and isinstance(event, Activity):
            self._line(event)
        elif self._progress and isinstance(event, Activity) and not event.finished:
            self._step(event.title)

    def _step(self, title: str) -> None:
        if title != self._last:
            self._last = title
            print(f"  {safe_line(title)} …", file=sys.stderr, flush=True)


def report(call: "Call", found: Workstation, done: str) -> None:
    """The machine as it is now, after what was done."""
    view = found.view(call.name)
    if call.json:
        print(json.dumps(as_data(view), indent=2))
        return
    where = "".join(f"  {address}" for address in reachable(view))
    print(f"“{view.name}”: {done}{where}")

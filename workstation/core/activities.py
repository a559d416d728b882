"""Long pieces of work, as they are shown: with progress, a rate, and a way to cancel."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from workstation.errors import WorkstationError, of_the_host
from workstation.model.events import Activity, Event

_RATE_SECONDS = 0.5


class Progress:
    """What the work itself calls as it moves on."""

    def __init__(self, activity: Activity, publish: Callable[[Activity], None]) -> None:
        self.activity = activity
        self._publish = publish
        self._mark = (time.monotonic(), 0.0)

    def __call__(self, title: str = "", done: float = 0, total: float | None = None) -> None:
        """`title` replaces the one shown; `done` of `total`, in the activity's unit."""
        now = time.monotonic()
        at, before = self._mark
        rate = self.activity.rate
        if done < before:
            # Another piece of work begins: what was fast before says nothing of it.
            rate, self._mark = None, (now, done)
        elif now - at >= _RATE_SECONDS:
            rate = (done - before) / (now - at) if self.activity.unit else None
            self._mark = (now, done)
        self.activity = replace(
            self.activity,
            title=title or self.activity.title,
            done=done,
            total=total,
            rate=rate,
        )
        self._publish(self.activity)


class Activities:
    """The pieces of work that this front-end has going."""

    def __init__(self, publish: Callable[[Event], None]) -> None:
        self.current: dict[int, Activity] = {}
        self._publish_event = publish
        self._tasks: dict[int, asyncio.Task[object]] = {}
        self._ids = itertools.count(1)

    @contextmanager
    def running(
        self, title: str, *, unit: str = "", cancellable: bool = True
    ) -> Iterator[Progress]:
        """Show the block as an activity; cancelling the activity cancels the calling task."""
        activity = Activity(next(self._ids), title, unit=unit, cancellable=cancellable)
        task = asyncio.current_task()
        if task and cancellable:
            self._tasks[activity.id] = task
        progress = Progress(activity, self._publish)
        self._publish(activity)
        error = ""
        try:
            yield progress
        except WorkstationError as problem:
            error = str(problem)
            raise
        except OSError as problem:
            told = of_the_host(problem)
            error = str(told)
            raise told from problem
        except asyncio.CancelledError:
            error = "cancelled"
            raise
        finally:
            self._tasks.pop(activity.id, None)
            self._publish(replace(progress.activity, finished=True, error=error))

    def _publish(self, activity: Activity) -> None:
        if activity.finished:
            self.current.pop(activity.id, None)
        else:
            self.current[activity.id] = activity
        self._publish_event(activity)

    def cancel(self, number: int) -> None:
        task = self._tasks.get(number)
        if task:
            task.cancel()

"""A workstation's events, gathered so that the screen is touched thirty times a second at most."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.events import Activity, Event, Logged
    from workstation.model.machine import MachineView, Sample

PERIOD = 1 / 30
"""Seconds between two batches."""


@dataclass(slots=True)
class Batch:
    """What happened since the last one; of many changes to one machine only the newest."""

    changed: dict[str, MachineView | None] = field(default_factory=dict)
    """By name; None where the machine was removed."""
    samples: dict[str, Sample] = field(default_factory=dict)
    activities: dict[int, Activity] = field(default_factory=dict)
    logged: list[Logged] = field(default_factory=list)

    def add(self, event: Event) -> None:
        # Imported here: the model is only loaded after the first frame.
        from workstation.model import events

        match event:
            case events.MachineChanged(view):
                self.changed[view.name] = view
            case events.MachineRemoved(name):
                self.changed[name] = None
            case events.Sampled(samples):
                self.samples = samples
            case events.Activity():
                self.activities[event.id] = event
            case events.Logged():
                self.logged.append(event)
                del self.logged[:-1000]


class Feed:
    """Calls `deliver` with batches, from the event loop, until `close`.

    The first event after a quiet moment is delivered at once, a burst at the pace of PERIOD.
    """

    def __init__(self, station: Workstation, deliver: Callable[[Batch], object]) -> None:
        self._deliver = deliver
        self._batch = Batch()
        self._loop = asyncio.get_running_loop()
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._unsubscribe = station.subscribe(self._on_event)

    def close(self) -> None:
        self._unsubscribe()
        if self._timer:
            self._timer.cancel()

    def _on_event(self, event: Event) -> None:
        self._batch.add(event)
        if self._timer is None:
            self._timer = self._loop.call_at(max(self._next, self._loop.time()), self._flush)

    def _flush(self) -> None:
        self._timer = None
        self._next = self._loop.time() + PERIOD
        batch, self._batch = self._batch, Batch()
        self._deliver(batch)

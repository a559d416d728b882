"""How a figure is taken: in turns with what it is held against, and summed up."""

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.bench.home import progress

Take = Callable[[], Awaitable[float]]
"""Measures once; returns seconds."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one kind, in seconds or, for `share`, in parts of one."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def percentile(self, percent: int) -> float:
        """The nearest rank: a value that was really measured."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * percent // 100) - 1))]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    ours: Series
    shown: float
    """What of `ours` the target is about: its median, a percentile."""
    label: str = "median"
    raw: Series | None = None
    raw_name: str = ""
    limit: float | None = None
    """The target: of `shown`, or of the ratio to `raw` where `ratio_limit`; None: for information."""
    ratio_limit: float | None = None
    unit: str = "s"
    """`s`, shown in ms, or `%` of one core."""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.shown / self.raw.median if self.raw else None

    @property
    def ok(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.ratio_limit is not None and self.ratio is not None:
            return self.ratio <= self.ratio_limit
        return None if self.limit is None else self.shown < self.limit


def median_figure(name: str, ours: Series, **more: object) -> Figure:
    return Figure(name, ours, ours.median, **more)  # type: ignore[arg-type]


async def in_turns(name: str, first: Take, second: Take, count: int) -> tuple[Series, Series]:
    """Measure A B A B …, so that whatever else the host does meets both alike.

    One of each goes before and is not counted: caches are then as warm as in daily use.
    """
    await first()
    await second()
    mine, other = [], []
    for number in range(count):
        progress(f"{name}: {number + 1} of {count}")
        mine.append(await first())
        other.append(await second())
    return Series(mine), Series(other)


class Clock:
    """`with Clock() as clock: …`, and then `clock.seconds`: until `stop`, or the block's end."""

    seconds = 0.0

    def __enter__(self) -> "Clock":
        self._start = time.perf_counter()
        return self

    def stop(self) -> None:
        self.seconds = self.seconds or time.perf_counter() - self._start

    def __exit__(self, *_: object) -> None:
        self.stop()

"""How a figure is taken: in turns with what it is held against, and summed up."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.bench.home import progress

Take = Callable[[], Awaitable[float]]
"""Measures once; returns seconds."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one kind, in seconds or in parts of one."""

    values: Sequence[float]

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
    raw: Series | None = None
    raw_name: str = ""
    percent: int = 50
    """The percentile that the target is about; 50 is the median."""
    limit: float | None = None
    """The target for it; None where it is shown for information."""
    ratio_limit: float | None = None
    """The target for it against the same percentile of `raw`."""
    unit: str = "s"
    """`s`, shown in ms, or `%` of one core."""

    @property
    def shown(self) -> float:
        return self.ours.percentile(self.percent)

    @property
    def raw_shown(self) -> float | None:
        return self.raw.percentile(self.percent) if self.raw else None

    @property
    def ratio(self) -> float | None:
        return self.shown / self.raw_shown if self.raw_shown else None

    @property
    def ok(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.ratio_limit is not None and self.ratio is not None:
            return self.ratio <= self.ratio_limit
        return None if self.limit is None else self.shown < self.limit


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

"""What the core tells its front-ends: frozen values, published as they happen."""

from dataclasses import dataclass
from enum import StrEnum

from workstation.model.machine import MachineView, Sample


@dataclass(frozen=True, slots=True)
class MachineChanged:
    """A machine is new, or something about it changed."""

    view: MachineView


@dataclass(frozen=True, slots=True)
class MachineRemoved:
    name: str


@dataclass(frozen=True, slots=True)
class Sampled:
    """A new sample of each live machine."""

    samples: dict[str, Sample]


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Logged:
    """A line for the log of events."""

    time: float
    """Seconds since the epoch."""
    machine: str
    """The machine it is about, or empty."""
    text: str
    severity: Severity = Severity.INFO


@dataclass(frozen=True, slots=True)
class Activity:
    """A long piece of work, as it goes on; the same `id` is published again as it moves."""

    id: int
    title: str
    """`start sales-demo`."""
    done: float = 0
    total: float | None = None
    """In `unit`; None where the end is not known."""
    unit: str = ""
    """`B` for bytes, else empty: a plain count or nothing to count."""
    rate: float | None = None
    """`unit` a second."""
    finished: bool = False
    error: str = ""
    cancellable: bool = True


Event = MachineChanged | MachineRemoved | Sampled | Logged | Activity

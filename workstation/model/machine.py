"""A machine: a named VM on this host, the states it can be in, and what each state allows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import StringConstraints

from workstation.errors import NotAllowedError
from workstation.model.guest import GuestFacts
from workstation.model.misfit import Misfit
from workstation.model.profile import Forward, Profile, Section


class Definition(Section):
    """The content of `machine.yaml`: an identity, and a profile with everything pinned
    that a guest can see (versioned machine type, CPU model, MAC addresses)."""

    uuid: UUID
    created: datetime
    based_on: Annotated[str, StringConstraints(max_length=80)] = ""
    """The profile that it was made from."""
    profile: Profile

    def misfits(self) -> Iterator[Misfit]:
        for key in sorted(self.profile.provision.beyond_user):
            what = "a machine that is there is not set up anew: only a new one can have this key"
            yield Misfit(what, f"profile.provision.{key}")


class State(StrEnum):
    """Where a machine is in its life.

        created ─► starting ─► running ◄─► paused
                       │          │          │
                       ▼          ▼          ▼
                    crashed    stopping ─► off (or crashed)

    `frozen`: its memory lies in a layer and its process is gone; start resumes it.
    """

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    OFF = "off"
    CRASHED = "crashed"
    FROZEN = "frozen"

    @property
    def live(self) -> bool:
        """Whether a QEMU process belongs to the state."""
        return self in _LIVE


_LIVE = frozenset({State.STARTING, State.RUNNING, State.PAUSED, State.STOPPING})
_AT_REST = frozenset({State.CREATED, State.OFF, State.CRASHED, State.FROZEN})


class Verb(StrEnum):
    """What can be asked of a machine; the word is the CLI's and the lock's."""

    START = "start"
    STOP = "stop"
    KILL = "stop --force"
    PAUSE = "pause"
    RESUME = "resume"
    RESET = "reset"
    DELETE = "delete"
    EDIT = "edit"
    CONSOLE = "console"
    SCREEN = "screen"
    SNAPSHOT = "snapshot"
    SUSPEND = "suspend"
    REVERT = "revert"
    SQUASH = "squash"
    COMPACT = "compact"
    NETWORK = "network"
    SETTLE = "settle"


ALLOWED: Mapping[Verb, frozenset[State]] = {
    Verb.START: _AT_REST,
    Verb.STOP: frozenset({State.RUNNING, State.PAUSED, State.STOPPING}),
    Verb.KILL: _LIVE,
    Verb.PAUSE: frozenset({State.RUNNING}),
    Verb.RESUME: frozenset({State.PAUSED}),
    Verb.RESET: frozenset({State.RUNNING, State.PAUSED, State.STOPPING}),
    Verb.DELETE: _AT_REST,
    Verb.EDIT: frozenset(State),
    Verb.CONSOLE: _LIVE,
    Verb.SCREEN: _LIVE,
    Verb.SNAPSHOT: _AT_REST | {State.RUNNING, State.PAUSED},
    Verb.SUSPEND: frozenset({State.RUNNING, State.PAUSED}),
    Verb.REVERT: frozenset(State),
    Verb.SQUASH: _AT_REST | {State.RUNNING, State.PAUSED},
    Verb.COMPACT: _AT_REST,
    Verb.NETWORK: frozenset({State.RUNNING, State.PAUSED}),
    Verb.SETTLE: _AT_REST | {State.RUNNING, State.PAUSED},
}


def require(verb: Verb, name: str, state: State) -> None:
    """Raise NotAllowedError, naming what would be possible, unless the state allows the verb."""
    if state in ALLOWED[verb]:
        return
    possible = ", ".join(other for other in Verb if state in ALLOWED[other])
    raise NotAllowedError(
        f"“{name}” is {state}: it cannot {verb} now", hint=f"possible now: {possible}"
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a machine's lock, and what for."""

    verb: str
    pid: int
    since: float
    """Seconds since the epoch."""
    front_end: str
    """`workstation start`, `workstation` (the TUI) and so on."""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """From what the lock's file says."""
        return cls(said["verb"], said["pid"], said["since"], said["front_end"])


@dataclass(frozen=True, slots=True)
class Sample:
    """What a machine used at one moment. Rates are over the time since the sample before."""

    time: float
    """Seconds, monotonic."""
    cpu: float
    """Share of one host core that the QEMU process used: 1.0 is one whole core."""
    resident: int
    """Bytes of host memory that the QEMU process holds."""
    disk_read: float | None = None
    """Bytes a second over all drives; None where it was not asked for."""
    disk_write: float | None = None


@dataclass(frozen=True, slots=True)
class MachineView:
    """Everything a front-end shows of a machine, at one moment."""

    name: str
    state: State
    profile: Profile | None = None
    """None where the machine's file cannot be read; `problem` says why."""
    uuid: str = ""
    based_on: str = ""
    reason: str = ""
    """Why it is in this state: how a crash came, who paused it; may be empty."""
    since: float = 0.0
    """Seconds since the epoch: when QEMU was started, or when it ended; 0 if never."""
    problem: str = ""
    """What is wrong with its file."""
    holder: Holder | None = None
    pid: int | None = None
    accelerator: str = ""
    """`kvm` or `tcg`, while it runs."""
    forwards: tuple[Forward, ...] = field(default=())
    """Forwards in force while it runs, with the host ports that were really taken."""
    panicked: bool = False
    """The guest said through pvpanic that it crashed, and waits paused."""
    history: int = 0
    """Another number whenever its history has changed."""
    reads: str = ""
    """The bundles that its disks lie in, in a person's words; empty where none does."""
    alarm: str = ""
    """What is wrong with the bundle that its disks lie in."""
    guest: GuestFacts | None = None
    """What the guest said of itself when it was last asked, in this run."""
    unfinished: bool = False
    """Its system has not been set up yet: its first boot is to come, or goes on."""

    def allows(self, verb: Verb) -> bool:
        return self.state in ALLOWED[verb] and not (self.problem and verb is Verb.START)

"""The whole program without a screen: what the TUI and the command line both drive."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from workstation.model.events import Activity, Event, Logged
from workstation.model.host import Finding, HostFacts
from workstation.model.machine import MachineView, Sample
from workstation.model.profile import Profile
from workstation.paths import Paths


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """A profile that can be made into a machine: shipped, or the person's own."""

    name: str
    path: Path
    description: str


class Workstation:
    """One front-end's hold on the machines of this user.

    `async with Workstation(paths) as station:` adopts every running VM; leaving it lets go of
    them and never stops one. All methods belong to the event loop that entered it.
    Verbs raise NotAllowedError where the state forbids them, BusyError where another front-end
    is at work on the machine, NotFoundError for a name that is not there.
    """

    paths: Paths
    machines: Mapping[str, MachineView]
    """By name, sorted. Replaced views arrive as MachineChanged."""
    activities: Mapping[int, Activity]
    """The unfinished ones, by id."""
    log: deque[Logged]
    """The newest thousand."""

    def __init__(self, paths: Paths, *, front_end: str = "workstation") -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` in the event loop with every event from now on; returns the undo."""
        ...

    # -- looking ------------------------------------------------------------

    def samples(self, name: str) -> Sequence[Sample]:
        """The last two minutes, oldest first; empty for a machine that is not live."""
        ...

    def focus(self, name: str | None) -> None:
        """Sample this machine's disks too, from now on (one machine at a time)."""
        ...

    def serial_tail(self, name: str, *, size: int = 65_536) -> bytes:
        """The end of what the guest printed on its serial line; raw bytes of a guest."""
        ...

    def qemu_log_tail(self, name: str) -> str: ...

    async def host_facts(self) -> HostFacts: ...

    async def findings(self) -> list[Finding]:
        """What `workstation doctor` says."""
        ...

    def profiles(self) -> list[ProfileEntry]: ...

    def load_profile(self, name: str) -> Profile:
        """By name or path; raises NotFoundError or InvalidError."""
        ...

    # -- acting -------------------------------------------------------------

    async def create(self, name: str, profile: Profile, *, based_on: str = "") -> MachineView: ...

    async def start(self, name: str, *, force: bool = False) -> None:
        """Returns when QEMU answers; raises OvercommitError unless forced, LaunchError."""
        ...

    async def stop(self, name: str) -> None:
        """The ladder: power button, wait, quit, SIGTERM, SIGKILL. Returns when it is off."""
        ...

    async def kill(self, name: str) -> None:
        """At once, without asking the guest."""
        ...

    async def pause(self, name: str) -> None: ...

    async def resume(self, name: str) -> None: ...

    async def reset(self, name: str) -> None:
        """The reset button: the guest starts over without asking."""
        ...

    async def delete(self, name: str) -> None:
        """Remove the machine, its disks included."""
        ...

    async def demo(self) -> str:
        """Make the demo where it is missing (its image too), start it, wait until it is ready.

        Returns the machine's name. Publishes Activity events as it goes.
        """
        ...

    async def wait_ready(self, name: str, *, timeout: float = 60.0) -> None:  # noqa: ASYNC109
        """Wait for the profile's `ready` text on the serial line; raises WaitTimeoutError."""
        ...

    def cancel(self, activity: int) -> None:
        """Cancel a piece of work that is going on."""
        ...

    # -- editing ------------------------------------------------------------

    def definition_text(self, name: str) -> str:
        """The machine's YAML as it stands."""
        ...

    async def save_definition(self, name: str, text: str) -> None:
        """Check and save it; raises InvalidError, and then nothing has changed."""
        ...

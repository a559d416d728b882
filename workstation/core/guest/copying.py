"""What `workstation cp` is given: `NAME:PATH` on one side, a path of this computer on the other."""

import re
from dataclasses import dataclass
from pathlib import Path

from workstation.errors import UsageError

_REMOTE = re.compile(r"([a-z0-9][a-z0-9._-]{0,39}):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Copy:
    """One that is to be made."""

    name: str
    """The machine."""
    inside: str
    """The path in the guest; empty is the user's home."""
    outside: Path
    into_guest: bool

    @property
    def target_in(self) -> str:
        """Where an agent writes it: that needs a file's whole path."""
        needs_name = not self.inside or self.inside.endswith("/")
        return f"{self.inside or '/root/'}{self.outside.name}" if needs_name else self.inside

    @property
    def target_out(self) -> Path:
        name = self.inside.rstrip("/").rpartition("/")[2]
        return self.outside / name if self.outside.is_dir() else self.outside


def parse(source: str, target: str) -> Copy:
    """Raises UsageError unless just one of them is in a machine.

    A path of this computer that looks like `NAME:…` is written `./NAME:…`.
    """
    far, near = _REMOTE.fullmatch(source), _REMOTE.fullmatch(target)
    if bool(far) == bool(near):
        raise UsageError(
            "one side is a file in a machine, written NAME:PATH, and the other one is here",
            hint="workstation cp FILE web:/tmp/   or   workstation cp web:/etc/hosts .",
        )
    if near:
        return Copy(near[1], near[2], Path(source).expanduser(), into_guest=True)
    assert far is not None
    return Copy(far[1], far[2], Path(target).expanduser(), into_guest=False)

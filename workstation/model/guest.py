"""What a guest says of itself, and what came of a command in it. All texts are a guest's."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GuestFacts:
    """What its agent says; empty where it does not."""

    host_name: str = ""
    system: str = ""
    """`Debian GNU/Linux 12 (bookworm)`."""
    kernel: str = ""
    addresses: tuple[str, ...] = ()
    """`10.0.2.15`, without those that lead nowhere (loopback, link-local)."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    code: int
    """Its exit code; 128 + the signal that ended it."""
    out: bytes = b""
    err: bytes = b""
    cut: bool = False
    """The agent has kept only the beginning of what it printed."""

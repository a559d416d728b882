"""What a change of a machine's profile does, and when."""

from dataclasses import dataclass
from enum import StrEnum


class When(StrEnum):
    NOW = "now"
    NEXT = "at the next start"
    BOTH = "now, and the rest at the next start"


@dataclass(frozen=True, slots=True)
class Effect:
    """One key of the profile that has, or would have, another value."""

    key: str
    """As `--set` takes it: `drives[1].size`."""
    value: str
    """The new value, for a person."""
    when: When
    note: str = ""
    """Why not now, or what the guest has to do; may be empty."""

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"{self.key} = {self.value}: {self.when}{note}"

"""Keys of a profile that are fine alone and do not go together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Misfit:
    """One clash. Keys are dotted and counted from the section that found it."""

    what: str
    """The sentence for the person, without a final full stop."""
    at: str
    """The key to look at: `drives[0].bus`; empty for the section itself."""
    others: tuple[str, ...] = ()
    """The keys that it clashes with."""


class MisfitError(ValueError):
    """All clashes of one section; a ValueError, so that pydantic collects it."""

    def __init__(self, misfits: tuple[Misfit, ...]) -> None:
        super().__init__("; ".join(misfit.what for misfit in misfits))
        self.misfits = misfits


def repeated(places: Iterable[tuple[str, str]]) -> Iterator[Misfit]:
    """A clash for each (key, value) whose value an earlier one has already."""
    taken: dict[str, str] = {}
    for key, value in places:
        if value in taken:
            yield Misfit(f"“{value}” is also given in {taken[value]}", key, (taken[value],))
        taken.setdefault(value, key)

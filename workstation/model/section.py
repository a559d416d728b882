"""The base of every part of a profile."""

from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from workstation.model.misfit import Misfit, MisfitError


class Section(BaseModel):
    """Base of every part of a profile; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def misfits(self) -> Iterator[Misfit]:
        """Keys of this section that do not go together."""
        yield from ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if found := tuple(self.misfits()):
            raise MisfitError(found)
        return self

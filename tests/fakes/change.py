"""Changes of fake machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.core.change.difference import difference, value_at
from workstation.core.change.verbs import Changes
from workstation.core.host.usb import UsbDevice
from workstation.errors import InvalidError
from workstation.model.change import Effect, When
from workstation.profile.keys import dotted
from workstation.profile.overrides import apply_overrides

if TYPE_CHECKING:
    from tests.fakes.workstation import FakeWorkstation


class FakeChanges(Changes):
    """Checks as the real one does, and only records what is to be done; all of it at once."""

    def __init__(self, station: FakeWorkstation) -> None:
        self._fake = station

    async def plugged_in(self) -> list[UsbDevice]:
        node, place = Path("/dev/bus/usb/001/007"), Path("/sys/devices/usb1/1-2")
        return [UsbDevice("046d:c52b", "Logitech Receiver", 1, 7, node, place)]

    def check(self, name: str, settings: Sequence[str]) -> list[Effect]:
        old = self._fake.machines[name].profile
        if old is None:
            raise InvalidError(f"“{name}” has a machine file with problems")
        new = apply_overrides(old, settings)
        paths = difference(old, new)
        return [Effect(dotted(path), value_at(new, path), When.NOW) for path in paths]

    async def set(self, name: str, settings: Sequence[str]) -> list[Effect]:
        await self._fake._called("set", name, *settings)
        return self.check(name, settings)

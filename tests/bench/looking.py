"""`python -m tests.bench.looking SOCKET`: the program's screens, on that VNC server's screen."""

import sys
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path

from tests.fakes.machines import library
from tests.fakes.screens import FakeLook, FakeScreens
from tests.fakes.workstation import FakeWorkstation
from workstation.core.screen.look import Box, Canvas, Look
from workstation.core.workstation import Workstation
from workstation.qemu.rfb.client import Client
from workstation.ui import run
from workstation.ui.screen import graphics


class Connected(FakeLook):
    """Shows what comes over a socket."""

    _socket: Path
    _there: Client | None = None

    @property
    def canvas(self) -> Canvas | None:
        return self._there.canvas if self._there else None

    async def frames(self) -> AsyncGenerator[list[Box], None]:
        with closing(await Client.connect(self._socket)) as self._there:
            while True:
                yield await self._there.update()


class Screens(FakeScreens):
    def look(self, name: str) -> FakeLook:
        look = Connected(self._fake, name, None)
        look._socket = Path(sys.argv[1])
        return look


def station() -> Workstation:
    made: FakeWorkstation = library()
    made.screens = Screens(made)
    return made


if __name__ == "__main__":
    assert issubclass(Connected, Look)
    graphics.SECONDS = 60.0  # a busy computer is no other terminal
    run(station)

"""The verbs on screens, as the front-ends call them: `station.screens`."""

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.core.screen.layouts import pressed, typed
from workstation.core.screen.look import Look, keyboard_of, require_display
from workstation.errors import MonitorError, NotAllowedError
from workstation.model.machine import Verb, require

if TYPE_CHECKING:
    from PIL.Image import Image

    from workstation.core.workstation import Workstation


SLICE = 1000
"""Characters that are typed before looking whether the screen is still there."""


class Screens:
    """Verbs on a machine's screen. Any number of front-ends may look at the same one."""

    def __init__(self, station: "Workstation") -> None:
        self._station = station

    def look(self, name: str) -> Look:
        """Open the screen; iterate its `frames`. Raises NotFoundError, NotAllowedError."""
        machine = self._station.machine(name)
        require_display(machine.view)
        return Look(machine, keyboard_of(machine.view, self._station.settings.keyboard))

    @asynccontextmanager
    async def looking(self, name: str) -> AsyncIterator[Look]:
        """The screen of a machine that runs, once it is there; raises MonitorError if it is not."""
        self._require(name)
        look = self.look(name)
        async with aclosing(look.frames()) as frames:
            await anext(frames)
            if look.canvas is None:
                raise MonitorError(
                    look.trouble or f"the screen of “{name}” is not there",
                    hint=f"workstation show {name}",
                )
            yield look

    def _require(self, name: str) -> None:
        view = self._station.view(name)
        require(Verb.SCREEN, name, view.state)
        require_display(view)

    async def picture(self, name: str) -> "Image":
        """What the screen shows now."""
        async with self.looking(name) as look:
            assert look.canvas
            return look.canvas.image().convert("RGB")

    async def text(self, name: str) -> str:
        """What the screen says, where it is one of text; raises NotAllowedError if it is not."""
        async with self.looking(name) as look:
            assert look.canvas
            look.text.read(look.canvas, [look.canvas.box])
            if not look.text.is_text:
                raise NotAllowedError(
                    f"the screen of “{name}” shows no text that can be read",
                    hint=f"a picture of it: workstation screen {name} --output FILE",
                )
            return look.text.text()

    async def type(self, name: str, text: str) -> None:
        """Type the text; returns when the guest's keyboard has all of it."""
        typed(text, self.layout(name))
        async with self.looking(name) as look:
            for start in range(0, len(text), SLICE):
                look.type(text[start : start + SLICE])
                await look.typed()

    async def press(self, name: str, chords: Iterable[str]) -> None:
        """Press them, one after the other."""
        for chord in chords:
            pressed(chord, self.layout(name))
        async with self.looking(name) as look:
            for chord in chords:
                look.press(chord)
            await look.typed()

    def layout(self, name: str) -> str:
        return keyboard_of(self._station.view(name), self._station.settings.keyboard)

    def address(self, name: str) -> Path:
        """The unix socket that a VNC viewer can be started on."""
        self._require(name)
        path = self._station.paths.machine(name).vnc
        if not path.is_socket():
            raise NotAllowedError(f"the screen of “{name}” is not there", hint="start it anew")
        return path

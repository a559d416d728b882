"""One machine's screen, looked at and worked on; it is found again when QEMU is another."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

from workstation.core.machine import run
from workstation.core.machine.machine import Machine
from workstation.core.screen.glyphs import TextScreen
from workstation.core.screen.keys import Stroke
from workstation.core.screen.layouts import pressed, typed
from workstation.errors import MonitorError, NotAllowedError
from workstation.model.machine import MachineView
from workstation.qemu.rfb.canvas import Box, Canvas
from workstation.qemu.rfb.client import Client
from workstation.qemu.rfb.reader import Cursor
from workstation.qemu.vga_font import vga_font

__all__ = ["Box", "Canvas", "Cursor", "Look"]

PACE = 0.004
STEADY = 0.01
"""Seconds between two strokes: of the first ones, and of a longer text's.

The guest's keyboard holds 16 bytes, and what comes while the guest does not look is lost: at the
second pace it may be busy for 160 ms, at the first one it lost a letter in a thousand on a loaded
computer. Both are longer than the delay that QEMU adds (qemu/argv.py), or its queue would overflow.
"""
FIRST = 12
"""Strokes that are sent at the first pace: what a hand types, and so few that they all fit."""
MOST_STROKES = 20_000
"""Strokes that wait at most."""
RETRY = 0.25
"""Seconds until a screen that could not be had is tried again."""


def has_display(view: MachineView) -> bool:
    return view.profile is None or view.profile.display.adapter != "none"


def require_display(view: MachineView) -> None:
    if not has_display(view):
        raise NotAllowedError(
            f"“{view.name}” has no display",
            hint=f"its text console: workstation console {view.name}",
        )


class Look:
    """What the screen shows, and keys and a pointer for it.

    `frames` is where everything comes from: as long as it is iterated, the screen is connected
    to whenever the machine runs, and the body of the loop sets the pace.
    """

    def __init__(self, machine: Machine, keyboard: str) -> None:
        self._machine = machine
        self.text = TextScreen({})
        """Reads the canvas as text, where it is one; whoever draws it says when."""
        self._client: Client | None = None
        self._waiting: deque[Stroke] = deque()
        self._typing: asyncio.Task[None] | None = None
        self._down: set[int] = set()
        self.keyboard = keyboard
        """The layout that the guest has: a key of LAYOUTS."""
        self.pointer: tuple[int, int] | None = None
        """Where was pointed to last, in pixels."""
        self.trouble = ""
        """Why a machine that runs shows nothing."""

    # -- looking ------------------------------------------------------------

    @property
    def view(self) -> MachineView:
        return self._machine.view

    @property
    def canvas(self) -> Canvas | None:
        """None while there is nothing to see; another one after a change of size."""
        return self._client.canvas if self._client else None

    @property
    def cursor(self) -> Cursor | None:
        """The guest's pointer, where it is not part of the canvas."""
        return self._client.cursor if self._client else None

    @property
    def absolute(self) -> bool:
        return self._client is None or self._client.absolute

    @property
    def caps_lock(self) -> bool:
        return self._client is not None and self._client.caps_lock

    async def frames(self) -> AsyncGenerator[list[Box], None]:
        """What has changed on the canvas, over and over; nothing where the canvas is gone, or where
        it is the pointer or a lock that is another."""
        try:
            while True:
                await self._connect()
                if self._client is None:
                    yield []
                    await self._news()
                while self._client:
                    try:
                        damage = await self._client.update()
                    except MonitorError as error:
                        self._lose(str(error))
                        continue
                    yield damage
        finally:
            await self.close()

    async def _connect(self) -> None:
        if not (self.view.state.live and has_display(self.view)):
            self.trouble = ""
            return
        try:
            self._client = await Client.connect(self._machine.paths.vnc)
            self.text = TextScreen(await asyncio.to_thread(_font, self._machine))
            self.trouble = ""
        except MonitorError as error:
            self._lose(str(error))

    async def _news(self) -> None:
        """Until the machine is in another state, or where it runs, for a moment."""
        before = self.view
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY if before.state.live else None):
                await self._machine.until(lambda view: view.state != before.state)

    def _lose(self, why: str) -> None:
        if self._client:
            self._client.close()
        self._client, self.trouble, self.pointer = None, why, None
        self._waiting.clear()
        self._down.clear()

    async def close(self) -> None:
        """Let go of every key and of the connection."""
        if self._typing:
            self._typing.cancel()
        if self._client:
            with suppress(MonitorError):
                for code in self._down:
                    self._client.key(code, down=False)
                async with asyncio.timeout(1):
                    await self._client.sent()
        self._lose("")

    # -- acting -------------------------------------------------------------

    def type(self, text: str) -> bool:
        """False where too much waits already. Raises UsageError for a character that the guest's
        layout lacks. In both cases nothing is typed."""
        return self.send(typed(text, self.keyboard))

    def press(self, chord: str) -> None:
        """`ctrl-alt-del`; raises UsageError for what is no key."""
        self.send(pressed(chord, self.keyboard))

    def send(self, strokes: Sequence[Stroke]) -> bool:
        """At the pace that a guest can take; False where too much waits already. Without a
        screen they are lost, as they are on a computer that is off."""
        if self._client is None:
            return True
        if len(self._waiting) + len(strokes) > MOST_STROKES:
            return False
        self._waiting.extend(strokes)
        if self._typing is None or self._typing.done():
            self._typing = asyncio.create_task(self._type(), name="typing")
        return True

    async def typed(self) -> None:
        """Wait until the guest has been sent all of it; raises MonitorError if it was not."""
        if self._typing:
            await self._typing
        if self._client is None:
            raise MonitorError("the guest's screen: the connection ended", hint="do it again")
        await self._client.sent()

    async def _type(self) -> None:
        sent = 0
        while self._waiting and self._client:
            sent += 1
            stroke = self._waiting.popleft()
            (self._down.add if stroke.down else self._down.discard)(stroke.code)
            try:
                self._client.key(stroke.code, down=stroke.down)
            except MonitorError as error:
                self._lose(str(error))
                return
            await asyncio.sleep(PACE if sent < FIRST else STEADY)

    def point(self, x: int, y: int, buttons: int) -> None:
        """Move the pointer there with these buttons down: bits from the left one, then the wheel
        up, down, left and right."""
        if self._client:
            self.pointer = (x, y)
            with suppress(MonitorError):
                self._client.pointer(x, y, buttons)

    def ask_size(self, width: int, height: int) -> bool:
        """Ask the guest for a screen of that size; whether its adapter can be asked."""
        if self._client is None or not self._client.resizable:
            return False
        with suppress(MonitorError):
            self._client.ask_size(width, height)
        return True


def _font(machine: Machine) -> dict[bytes, str]:
    record = run.read(machine.paths)
    return vga_font(record.argv[0]) if record and record.argv else {}


def keyboard_of(view: MachineView, default: str) -> str:
    """The layout that the machine's file names, or else the settings."""
    named = view.profile.devices.keyboard if view.profile else "auto"
    return default if named == "auto" else named

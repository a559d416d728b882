"""Screens without a machine: a test is the guest."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from workstation.core.screen.glyphs import TextScreen
from workstation.core.screen.keys import Stroke
from workstation.core.screen.look import Box, Canvas, Cursor, Look, has_display, require_display
from workstation.core.screen.verbs import Screens
from workstation.model.machine import MachineView

if TYPE_CHECKING:
    from tests.fakes.workstation import FakeWorkstation

FONT = {random.Random(code).randbytes(16): chr(code) for code in range(33, 127)}
"""Not a font that anybody could read; but the program can."""
FONT[bytes(16)] = " "
_GLYPHS = {char: glyph for glyph, char in FONT.items()}

GREY, BLACK = (170, 170, 170), (0, 0, 0)


def desktop(width: int = 640, height: int = 400) -> Canvas:
    """A picture: a sky, a hill, a window."""
    canvas = Canvas(width, height)
    for y in range(height):
        sky = bytes((40 + 120 * y // height, 110 + 80 * y // height, 200, 0)) * width
        canvas.put(Box(0, y, width, y + 1), sky)
    hill = bytes((40, 120, 60, 0))
    for x in range(width):
        top = height - height // 3 + (x - width // 2) ** 2 // (2 * width)
        canvas.put(Box(x, min(top, height), x + 1, height), hill * (height - min(top, height)))
    window = Box(width // 4, height // 4, width * 3 // 4, height * 3 // 4)
    canvas.put(window, bytes((235, 235, 235, 0)) * window.area)
    title = window._replace(bottom=window.top + height // 16)
    canvas.put(title, bytes((60, 60, 90, 0)) * title.area)
    return canvas


def text_screen(*lines: str, size: tuple[int, int] = (720, 400), cursor: int = 0) -> Canvas:
    """Lines of text in FONT, and a cursor in that column of the line below."""
    canvas = Canvas(*size)
    for row, line in enumerate(lines):
        for column, char in enumerate(line):
            _letter(canvas, 9 * column, 16 * row, _GLYPHS[char])
    box = Box(9 * cursor, 16 * len(lines) + 13, 9 * cursor + 8, 16 * len(lines) + 15)
    canvas.put(box, bytes((*GREY, 0)) * box.area)
    return canvas


def _letter(canvas: Canvas, x: int, y: int, glyph: bytes) -> None:
    for number, bits in enumerate(glyph):
        colours = (GREY if bits & 0x80 >> column else BLACK for column in range(8))
        line = b"".join(bytes((*colour, 0)) for colour in colours)
        canvas.put(Box(x, y + number, x + 8, y + number + 1), line)


class FakeLook(Look):
    """Shows what a test paints; keeps what is typed and where is pointed to."""

    def __init__(self, station: "FakeWorkstation", name: str, canvas: Canvas | None) -> None:
        self._station, self._name = station, name
        self._last = station.machines[name]
        self._canvas = canvas
        self._painted = asyncio.Event()
        self.keyboard = "us"
        self.trouble = ""
        self.text = TextScreen(FONT)
        self.strokes: list[Stroke] = []
        self.points: list[tuple[int, int, int]] = []
        self.sizes: list[tuple[int, int]] = []
        self.followed = False
        self._absolute = True
        self.pointer: tuple[int, int] | None = None
        self.shape: Cursor | None = None

    @property
    def view(self) -> MachineView:
        # As the real one: of a machine that is gone the last view stays.
        self._last = self._station.machines.get(self._name, self._last)
        return self._last

    @property
    def canvas(self) -> Canvas | None:
        return self._canvas if self.view.state.live else None

    @property
    def cursor(self) -> Cursor | None:
        return self.shape

    @property
    def absolute(self) -> bool:
        return self._absolute

    @property
    def caps_lock(self) -> bool:
        return False

    def paint(self, canvas: Canvas | None) -> None:
        """As the guest does."""
        self._canvas = canvas
        self._painted.set()

    async def frames(self) -> AsyncGenerator[list[Box], None]:
        self.followed = True
        undo = self._station.subscribe(lambda event: self._painted.set())
        try:
            while True:
                self._painted.clear()
                yield [self.canvas.box] if self.canvas else []
                await self._painted.wait()
        finally:
            undo()
            self.followed = False

    def send(self, strokes: Sequence[Stroke]) -> bool:
        self.strokes += strokes
        return True

    def point(self, x: int, y: int, buttons: int) -> None:
        self.points.append((x, y, buttons))
        self.pointer = (x, y)

    def ask_size(self, width: int, height: int) -> bool:
        self.sizes.append((width, height))
        return False


class FakeScreens(Screens):
    """`canvases[name]` is what a machine's screen shows; without one it never comes."""

    def __init__(self, station: "FakeWorkstation") -> None:
        self._fake = station
        self.canvases: dict[str, Canvas] = {}
        self.looks: list[FakeLook] = []

    def look(self, name: str) -> FakeLook:
        require_display(self._fake.machines[name])
        assert has_display(self._fake.machines[name])
        self.looks.append(FakeLook(self._fake, name, self.canvases.get(name)))
        return self.looks[-1]

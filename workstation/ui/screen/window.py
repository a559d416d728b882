"""Which part of a guest's screen is shown where, and at what scale. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

ZOOMS = (0.0, 0.5, 1.0)
"""Terminal pixels a guest's pixel; 0 is: as large as the whole screen fits."""

LARGEST_SCALE = 2.0


@dataclass(frozen=True, slots=True)
class Window:
    """`width` x `height` pixels of the terminal, on part of a screen.

    A pixel of the terminal is what the drawing makes of a cell: with half blocks there are two,
    one on the other.
    """

    scale: float
    """Terminal pixels a guest's pixel."""
    left: float
    top: float
    """The guest's pixel in the corner."""
    x: int
    y: int
    """Where the picture begins in the pane, in terminal pixels."""
    width: int
    height: int
    """Of the picture, in terminal pixels."""

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    def to_guest(self, x: float, y: float) -> tuple[int, int]:
        """The guest's pixel under a place in the pane; it may be outside of the screen."""
        return (
            floor((x - self.x) / self.scale + self.left),
            floor((y - self.y) / self.scale + self.top),
        )

    def to_pane(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """The terminal's pixels, from the picture's corner, that a box of the guest touches."""
        left, top, right, bottom = box
        return (
            max(0, floor((left - self.left) * self.scale)),
            max(0, floor((top - self.top) * self.scale)),
            min(self.width, ceil((right - self.left) * self.scale)),
            min(self.height, ceil((bottom - self.top) * self.scale)),
        )

    def source(self, box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
        """What of the guest's screen is in those terminal pixels of the picture."""
        left, top, right, bottom = box
        return (
            left / self.scale + self.left,
            top / self.scale + self.top,
            right / self.scale + self.left,
            bottom / self.scale + self.top,
        )


def window(
    guest: tuple[int, int], pane: tuple[int, int], zoom: float, centre: tuple[float, float]
) -> Window:
    """The window of a pane of that many terminal pixels; `centre`, in the guest's pixels, is
    shown in the middle as far as the screen's edges let it."""
    scale = zoom or min(pane[0] / guest[0], pane[1] / guest[1], LARGEST_SCALE)
    width, left = _axis(guest[0], pane[0], scale, centre[0])
    height, top = _axis(guest[1], pane[1], scale, centre[1])
    x, y = (pane[0] - width) // 2, (pane[1] - height) // 2
    # A whole scale for the picture's rounded size, so that its last pixels are the screen's last.
    if not zoom:
        scale = min(width / guest[0], height / guest[1])
    return Window(scale, left, top, x, y - y % 2, width, height)


def _axis(guest: int, pane: int, scale: float, centre: float) -> tuple[int, float]:
    """How many terminal pixels the picture has, and the guest's first pixel."""
    size = max(1, min(pane, round(guest * scale)))
    first = min(max(0.0, centre - size / scale / 2), max(0.0, guest - size / scale))
    return size, first

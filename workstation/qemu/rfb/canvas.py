"""The picture of a guest's screen, as it stands."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

BYTES = 4
"""A pixel: red, green, blue, and one that means nothing."""

LARGEST_SIDE = 8192
LARGEST_AREA = 7680 * 4320
"""Pixels: what a profile may ask for, and no more."""


class Box(NamedTuple):
    """Part of a screen, in pixels: `right` and `bottom` are the first outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)

    def around(self, other: "Box") -> "Box":
        """The smallest box that holds both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


class Canvas:
    """Pixels, row by row from the top left; sizes and boxes are checked by whoever draws."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.data = bytearray(width * height * BYTES)

    @property
    def box(self) -> Box:
        return Box(0, 0, self.width, self.height)

    def put(self, box: Box, pixels: bytes | bytearray | memoryview) -> None:
        """Pixels of exactly that box, which may be empty."""
        line, stride = (box.right - box.left) * BYTES, self.width * BYTES
        at = box.top * stride + box.left * BYTES
        if line in (0, stride):
            self.data[at : at + len(pixels)] = pixels
            return
        for start in range(0, len(pixels), line):
            self.data[at : at + line] = pixels[start : start + line]
            at += stride

    def take(self, box: Box) -> bytes:
        """A copy of the pixels in that box, as `put` takes them."""
        line, stride = (box.right - box.left) * BYTES, self.width * BYTES
        first = box.top * stride + box.left * BYTES
        rows = range(first, first + (box.bottom - box.top) * stride, stride)
        return b"".join([self.data[at : at + line] for at in rows])

    def copy(self, box: Box, left: int, top: int) -> None:
        """Put what lies at `left`, `top` into the box; both may overlap."""
        right, bottom = left + box.right - box.left, top + box.bottom - box.top
        self.put(box, self.take(Box(left, top, right, bottom)))

    def pixel(self, x: int, y: int) -> tuple[int, int, int]:
        at = (y * self.width + x) * BYTES
        red, green, blue = self.data[at : at + 3]
        return red, green, blue

    def image(self) -> "Image":
        """The same memory as an image: it changes as the canvas does; to be kept, copy it."""
        from PIL import Image  # takes 15 ms, and most commands look at no screen

        size = (self.width, self.height)
        return Image.frombuffer("RGBX", size, self.data, "raw", "RGBX", 0, 1)

"""A guest's screen in the size in which it is shown; only what changed is made anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from workstation.ui.picture import in_light
from workstation.ui.screen.window import Window

if TYPE_CHECKING:
    from PIL.Image import Image

    from workstation.core.screen.look import Box, Canvas

Area = tuple[int, int, int, int]
"""Left, top, right and bottom, in the terminal's pixels from the picture's corner."""

Scale = Callable[["Image", tuple[int, int], tuple[float, float, float, float]], "Image"]
"""Makes a part of a picture that large."""

MOST_AREAS = 16


def smooth(picture: Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> Image:
    """For a terminal's true pixels."""
    from PIL.Image import Resampling

    return picture.resize(size, Resampling.BILINEAR, box, 2.0).convert("RGB")


class Scaled:
    """`image` is what of the screen is in the window."""

    def __init__(self, scale: Scale = in_light, margin: int = 0) -> None:
        """`margin` is how many pixels around it make a difference to a pixel."""
        self.image: Image | None = None
        self._scale, self._margin = scale, margin
        self._window: Window | None = None

    def draw(self, canvas: Canvas, shown: Window, damage: Iterable[Box]) -> Sequence[Area]:
        """Take in what was damaged, or everything in another window; the areas that were made."""
        from PIL import Image

        if shown != self._window or self.image is None:
            self._window, damage = shown, [canvas.box]
            self.image = Image.new("RGB", shown.size)
        picture = canvas.image()
        areas = [area for area in _apart(map(self._around, damage)) if _is_one(area)]
        for area in areas:
            self.image.paste(self._part(picture, shown, area), area[:2])
        return areas

    def _around(self, damage: Box) -> Area:
        assert self._window
        left, top, right, bottom = self._window.to_pane(damage)
        most_right, most_bottom = self._window.size
        more = self._margin
        return (
            max(0, left - more),
            max(0, top - more),
            min(most_right, right + more),
            min(most_bottom, bottom + more),
        )

    def _part(self, picture: Image, shown: Window, area: Area) -> Image:
        """With its margin, so that no seam is seen, and then cut."""
        left, top, right, bottom = area
        more = self._margin
        wide = (
            max(0, left - more),
            max(0, top - more),
            min(shown.width, right + more),
            min(shown.height, bottom + more),
        )
        made = self._scaled(picture, shown.source(wide), (wide[2] - wide[0], wide[3] - wide[1]))
        if wide == area:
            return made
        x, y = left - wide[0], top - wide[1]
        return made.crop((x, y, x + right - left, y + bottom - top))

    def _scaled(
        self, picture: Image, source: tuple[float, float, float, float], size: tuple[int, int]
    ) -> Image:
        """Cut out first: only what is needed is worked on."""
        left, top = int(source[0]), int(source[1])
        right = max(left + 1, min(picture.width, -int(-source[2] // 1)))
        bottom = max(top + 1, min(picture.height, -int(-source[3] // 1)))
        whole = (left, top, right, bottom) == (0, 0, *picture.size)
        cut = picture if whole else picture.crop((left, top, right, bottom))
        box = (
            source[0] - left,
            source[1] - top,
            min(source[2] - left, cut.width),
            min(source[3] - top, cut.height),
        )
        return self._scale(cut, size, box)

    def clear(self) -> None:
        """Everything is made anew the next time."""
        self._window = None


def _is_one(area: Area) -> bool:
    return area[0] < area[2] and area[1] < area[3]


def _apart(areas: Iterable[Area]) -> list[Area]:
    """The same areas, each once; where they are many, the one around all of them."""
    found = list(dict.fromkeys(areas))
    if len(found) <= MOST_AREAS:
        return found
    lefts, tops, rights, bottoms = zip(*found, strict=True)
    return [(min(lefts), min(tops), max(rights), max(bottoms))]

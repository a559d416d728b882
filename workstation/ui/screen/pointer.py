"""The guest's own pointer, where its adapter shows it above the picture instead of in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workstation.core.screen.look import Box, Canvas, Cursor, Look


class Pointer:
    """It lies in the picture only while that is drawn: what the guest paints is below it.

    Where it is nobody tells: it is where was pointed to last. A mouse that moves by steps is
    somewhere else, so there it is not shown.
    """

    def __init__(self) -> None:
        self._shown: tuple[Box, Cursor] | None = None

    @contextmanager
    def on(self, look: Look) -> Iterator[list[Box]]:
        """Draw the picture in this block; the boxes where the pointer was, and is now, if it is
        another."""
        canvas, now = look.canvas, _placed(look)
        if canvas is None:
            yield []
            return
        both = [] if now == self._shown else [one for one in (self._shown, now) if one]
        moved = [_clipped(box, canvas) for box, _ in both]
        self._shown = now
        if now is None:
            yield moved
            return
        box = _clipped(now[0], canvas)
        below = canvas.take(box)
        canvas.put(box, _above(below, box, *now))
        try:
            yield moved
        finally:
            canvas.put(box, below)


def _placed(look: Look) -> tuple[Box, Cursor] | None:
    """The box that it would cover, maybe beyond the screen's edges."""
    cursor, place, canvas = look.cursor, look.pointer, look.canvas
    if not (cursor and cursor.pixels and place and canvas and look.absolute):
        return None
    left, top = place[0] - cursor.hot_x, place[1] - cursor.hot_y
    box = canvas.box._replace(
        left=left, top=top, right=left + cursor.width, bottom=top + cursor.height
    )
    clipped = _clipped(box, canvas)
    return (box, cursor) if clipped.left < clipped.right and clipped.top < clipped.bottom else None


def _clipped(box: Box, canvas: Canvas) -> Box:
    left, top = (min(max(0, box.left), canvas.width), min(max(0, box.top), canvas.height))
    return box._replace(
        left=left,
        top=top,
        right=max(left, min(box.right, canvas.width)),
        bottom=max(top, min(box.bottom, canvas.height)),
    )


def _above(below: bytes, box: Box, whole: Box, cursor: Cursor) -> bytes:
    """The pixels of the box, with the pointer on them."""
    from PIL import Image

    size = (box.right - box.left, box.bottom - box.top)
    made = Image.frombytes("RGBA", size, below)
    drawn = Image.frombytes("RGBA", (cursor.width, cursor.height), cursor.pixels)
    made.paste(drawn, (whole.left - box.left, whole.top - box.top), drawn)
    return made.tobytes()

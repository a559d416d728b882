"""A picture of a guest's screen, made small enough for a terminal."""

from __future__ import annotations

import os
import stat
import warnings
from functools import lru_cache
from pathlib import Path
from typing import IO

from PIL import Image
from textual.strip import Strip

from workstation.ui.blocks import strips_of

LARGEST = 128 * 2**20
"""Bytes of a file that is looked at."""
LARGEST_AREA = 7680 * 4320
"""Pixels of a picture that is looked at."""
CHANNELS = 3

_SQUARES = [(value * value + 127) // 255 for value in range(256)]
_ROOTS = [round((value * 255) ** 0.5) for value in range(256)]


def read_picture(file: Path) -> Image.Image | None:
    """A PPM, as QEMU writes it; None where there is none that can be shown."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
                return None
            return _decoded(opened)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _decoded(opened: IO[bytes]) -> Image.Image | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(opened, formats=["PPM"]) as found:
            # Only what the header says has been read so far.
            if not 0 < found.width * found.height <= LARGEST_AREA:
                return None
            return found.convert("RGB")


def shrunk(picture: Image.Image, columns: int, lines: int) -> Image.Image:
    """The whole picture on at most that many pixels, in its proportions.

    Light is averaged, not its code: thin bright letters on black stay visible.
    """
    scale = min(columns / picture.width, lines / picture.height)
    across = max(1, min(columns, round(picture.width * scale)))
    down = max(1, min(lines, round(picture.height * scale)))
    return in_light(picture, (across, down))


def in_light(
    picture: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """That part of a picture (all of it without `box`) as an RGB image of that size."""
    # A screen as it lies in memory is not converted as a whole: that is twice as quick.
    whole = picture if picture.mode == "RGBX" else picture.convert("RGB")
    light = whole.point(_SQUARES * len(whole.getbands()))
    small = light.resize(size, Image.Resampling.BOX, box).convert("RGB")
    return small.point(_ROOTS * CHANNELS)


@lru_cache(maxsize=24)
def strips(file: Path, columns: int, rows: int) -> list[Strip]:
    """The picture in a file as half blocks, in the middle of the top of a pane of that size.

    Empty where there is no picture. It takes some 20 ms: call it in a thread.
    """
    picture = read_picture(file)
    if picture is None or columns < 2 or rows < 1:
        return []
    return strips_of(shrunk(picture, columns, 2 * rows), columns)

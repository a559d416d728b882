"""A picture of a guest's screen (PPM, as QEMU writes it), made small enough for a terminal."""

from __future__ import annotations

import os
import re
import stat
from functools import lru_cache
from itertools import pairwise
from math import isqrt
from pathlib import Path
from typing import NamedTuple

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

LARGEST = 64 * 2**20
"""Bytes of a file that is looked at."""
SAMPLED = 8
"""So many of a cell's lines are looked at, at most."""

_HEADER = re.compile(rb"P6\s+(\d{1,5})\s+(\d{1,5})\s+255\s")
_SQUARES = bytes((value * value + 127) // 255 for value in range(256))

Pixel = tuple[int, int, int]


class Picture(NamedTuple):
    width: int
    height: int
    data: bytes
    """Red, green and blue of each pixel, from the top left."""


def read_ppm(file: Path) -> Picture | None:
    """None where there is none that can be shown."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return parse_ppm(opened.read(LARGEST + 1))
    except OSError:
        return None
    return None


def parse_ppm(data: bytes) -> Picture | None:
    """None for what is no whole PPM of 8 bits a colour, or too large."""
    header = _HEADER.match(data)
    if not header or len(data) > LARGEST:
        return None
    width, height = int(header[1]), int(header[2])
    pixels = data[header.end() :]
    if not width or not height or len(pixels) < 3 * width * height:
        return None
    return Picture(width, height, pixels)


def shrunk(picture: Picture, columns: int, lines: int) -> list[list[Pixel]]:
    """The whole picture on at most that many pixels, in its proportions.

    Light is averaged, not its code: thin bright letters on black stay visible.
    """
    scale = min(columns / picture.width, lines / picture.height)
    across = max(1, min(columns, round(picture.width * scale)))
    down = max(1, min(lines, round(picture.height * scale)))
    light = picture.data.translate(_SQUARES)
    edges = [picture.width * column // across for column in range(across + 1)]
    return [
        _line(
            light, picture, edges, picture.height * row // down, picture.height * (row + 1) // down
        )
        for row in range(down)
    ]


def _line(light: bytes, picture: Picture, edges: list[int], top: int, bottom: int) -> list[Pixel]:
    step = max(1, (bottom - top) // SAMPLED)
    starts = [3 * picture.width * y for y in range(top, max(bottom, top + 1), step)]
    line = []
    for left, right in pairwise(edges):
        right = max(right, left + 1)
        count = len(starts) * (right - left)
        red, green, blue = (
            isqrt(
                255
                * sum(sum(light[at + 3 * left + c : at + 3 * right : 3]) for at in starts)
                // count
            )
            for c in range(3)
        )
        line.append((red, green, blue))
    return line


@lru_cache(maxsize=24)
def strips(file: Path, columns: int, rows: int) -> list[Strip]:
    """The picture in a file as half blocks, in the middle of the top of a pane of that size.

    Empty where there is no picture. It takes some 50 ms: call it in a thread.
    """
    picture = read_ppm(file)
    if picture is None or columns < 2 or rows < 1:
        return []
    pixels = shrunk(picture, columns, 2 * rows)
    if len(pixels) % 2:
        pixels.append([(0, 0, 0)] * len(pixels[0]))
    left = (columns - len(pixels[0])) // 2
    return [
        Strip([Segment(" " * left), *_blocks(upper, lower)])
        for upper, lower in zip(pixels[::2], pixels[1::2], strict=True)
    ]


def _blocks(upper: list[Pixel], lower: list[Pixel]) -> list[Segment]:
    """Each cell shows two pixels: `▀` in the colour of the upper one, on the lower one's."""
    segments: list[Segment] = []
    start = 0
    cells = list(zip(upper, lower, strict=True))
    for end in range(1, len(cells) + 1):
        if end == len(cells) or cells[end] != cells[start]:
            front, back = (Color.from_rgb(*pixel) for pixel in cells[start])
            segments.append(Segment("▀" * (end - start), Style(color=front, bgcolor=back)))
            start = end
    return segments

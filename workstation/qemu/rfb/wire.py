"""What is sent to the server, byte by byte (RFC 6143; QEMU's extensions: its docs/interop)."""

import struct
from enum import IntEnum

VERSION = b"RFB 003.008\n"
SECURITY_NONE = 1
SHARED = b"\x01"
"""Others may look at the same screen."""

PIXEL_FORMAT = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)
"""32 bits a pixel, of which red comes first in memory, then green and blue."""


class Encoding(IntEnum):
    """Ways to send a rectangle; the negative ones say something else in a rectangle's place."""

    RAW = 0
    COPY_RECT = 1
    ZLIB = 6
    DESKTOP_SIZE = -223
    CURSOR = -239
    POINTER_TYPE = -257
    EXTENDED_KEY = -258
    LED_STATE = -261
    EXTENDED_DESKTOP_SIZE = -308


def set_pixel_format() -> bytes:
    return struct.pack(">B3x", 0) + PIXEL_FORMAT


def set_encodings(encodings: tuple[Encoding, ...]) -> bytes:
    return struct.pack(f">BxH{len(encodings)}i", 2, len(encodings), *encodings)


def update_request(width: int, height: int, *, whole: bool) -> bytes:
    """Ask for what has changed, or for everything."""
    return struct.pack(">BBHHHH", 3, not whole, 0, 0, width, height)


def key(code: int, *, down: bool) -> bytes:
    """QEMU Extended Key Event. `code` is of the XT set, 0x80 added where it follows an e0.

    No keysym goes with it: from one QEMU would guess that caps lock is on, and press that key.
    """
    return struct.pack(">BBHII", 255, 0, down, 0, code)


def pointer(x: int, y: int, buttons: int) -> bytes:
    """`buttons`: bits from the left one; 3 to 6 are the wheel up, down, left and right."""
    return struct.pack(">BBHH", 5, buttons, x, y)


def set_desktop_size(width: int, height: int) -> bytes:
    return struct.pack(">BxHHBxIHHHHI", 251, width, height, 1, 0, 0, 0, width, height, 0)

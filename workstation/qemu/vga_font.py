"""The letters that a guest's text screen is drawn with, out of the ROM that draws them.

QEMU's VGA BIOS brings the 8x16 font of all PCs, and so do the consoles of most systems. It is
read where QEMU is installed, so that it need not be kept here a second time.
"""

from functools import lru_cache
from pathlib import Path

HEIGHT = 16
COUNT = 256
_LETTER_A = bytes.fromhex("000010386cc6c6fec6c6c6c600000000")
"""By which the font is found in the ROM: the eighth of the letters, 65th glyph (code page 437)."""
_ROM = ("vgabios-stdvga.bin", "vgabios.bin", "vgabios-virtio.bin")
_PLACES = ("share/seabios", "share/qemu", "share/qemu-kvm", "share/qemu/firmware")

_FIRST = "\0☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
"""What the glyphs 0 to 31 show; the codec takes them for control characters."""


@lru_cache(maxsize=4)
def vga_font(qemu: str) -> dict[bytes, str]:
    """The character of each glyph, as 16 lines of 8 pixels; empty where there is no such ROM.

    `qemu` is the program: its files are beside it.
    """
    root = Path(qemu).resolve().parent.parent
    for place in _PLACES:
        for name in _ROM:
            try:
                rom = (root / place / name).read_bytes()
            except OSError:
                continue
            if glyphs := find_font(rom):
                return _by_glyph(glyphs)
    return {}


def find_font(rom: bytes) -> bytes:
    """The 4096 bytes of the font in a ROM, or nothing."""
    at = rom.find(_LETTER_A)
    while at >= 0:
        start = at - ord("A") * HEIGHT
        font = rom[start : start + COUNT * HEIGHT] if start >= 0 else b""
        blank, full = (font[code * HEIGHT : (code + 1) * HEIGHT] for code in (0x20, 0xDB))
        if blank == bytes(HEIGHT) and full == b"\xff" * HEIGHT:
            return font
        at = rom.find(_LETTER_A, at + 1)
    return b""


def _by_glyph(font: bytes) -> dict[bytes, str]:
    characters = _FIRST + bytes(range(0x20, 0x100)).decode("cp437").replace("\x7f", "⌂")
    found: dict[bytes, str] = {}
    # Backwards: of two characters that look alike the one with the lower code is meant.
    for code in reversed(range(COUNT)):
        found[font[code * HEIGHT : (code + 1) * HEIGHT]] = characters[code]
    found[bytes(HEIGHT)] = " "
    return found

"""Sizes as people write them, and durations as people read them."""

import re

_FACTORS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_BY_LETTER = {unit[0].lower(): unit for unit in _FACTORS}
_SIZE = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([KMGT]?)i?(B?)\s*", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes of `1 GiB`, `1.5G`, `512 MB`; K, M, G and T are always powers of 1024.

    Raises ValueError for anything else, a number without a unit included.
    """
    match = _SIZE.fullmatch(text)
    if not match or not (match[2] or match[3]):
        raise ValueError("a size such as “512 MiB” or “20 GiB”")
    unit = _BY_LETTER[match[2].lower() or "b"]
    return int(float(match[1]) * _FACTORS[unit])


def format_size(size: float) -> str:
    """`1 GiB`, `1.5 GiB`, `512 MiB`: at most one decimal, for reading."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if abs(size) >= _FACTORS[unit]:
            return f"{size / _FACTORS[unit]:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size:.0f} B"


def exact_size(size: int) -> str:
    """The largest unit that says the size without loss; `parse_size` takes it back."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _FACTORS[unit] == 0:
            return f"{size // _FACTORS[unit]} {unit}"
    return f"{size} B"


def format_duration(seconds: float) -> str:
    """`00:12:31`, or `2 d 00:12:31` from a day on."""
    days, rest = divmod(max(0, int(seconds)), 86_400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock


def format_left(seconds: float) -> str:
    """`8 s left`, or `3 min left`."""
    left = max(0.0, seconds)
    return f"{left:.0f} s left" if left < 90 else f"{left / 60:.0f} min left"

"""A row of bars that shows how a number went."""

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float], width: int, top: float) -> str:
    """The newest `width` values, newest right; `top` and above is a full bar."""
    shown = values[-width:]
    steps = len(BARS) - 1
    bars = (BARS[round(min(max(value / top, 0.0), 1.0) * steps)] for value in shown)
    return "".join(bars).rjust(width)

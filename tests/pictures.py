"""Pictures of the screens: compared when they are what they will be, and told in words when not."""

import html
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from textual.pilot import Pilot

Before = Callable[[Pilot[Any]], Awaitable[None]]
Compare = Callable[..., bool]

PATIENCE = 20.0
_RUN = re.compile(r"\bterminal-\d+-")
"""What differs from run to run, and is not kept."""
_TEXT = re.compile(r'<text class="([^"]*)" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', re.DOTALL)


def patient(compare: Compare, kept: Path) -> Compare:
    """The comparison, that gives what is still to be painted the time that it takes.

    A picture that never becomes the kept one fails with the texts that differ.
    """

    def check(app: Any, *, size: tuple[int, int], before: Before | None = None) -> bool:
        last = ""

        async def wait(pilot: Pilot[Any]) -> None:
            nonlocal last
            if before:
                await before(pilot)
            expected = kept.read_text() if kept.exists() else ""
            end = monotonic() + PATIENCE
            while (last := _picture(app)) != expected and expected and monotonic() < end:
                await pilot.pause(0.05)

        same = compare(app, terminal_size=size, run_before=wait)
        if not same and kept.exists():
            pytest.fail("\n".join(_differences(kept.read_text(), last)), pytrace=False)
        return same

    return check


def _picture(app: Any) -> str:
    return _RUN.sub("terminal-", app.export_screenshot(title=app.title, simplify=True))


def _differences(expected: str, shown: str) -> list[str]:
    kept, now = _texts(expected), _texts(shown)
    places = sorted(place for place in kept | now if kept.get(place) != now.get(place))
    return [
        f"line {y:.0f}, {x:.0f}: {kept.get((y, x))} was kept, {now.get((y, x))} is shown"
        for y, x in places
    ] or ["the same texts in other colours or boxes"]


def _texts(svg: str) -> dict[tuple[float, float], tuple[str, str]]:
    return {
        (float(y), float(x)): (kind, html.unescape(text).replace("\xa0", " "))
        for kind, x, y, text in _TEXT.findall(svg)
    }

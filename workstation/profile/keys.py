"""Keys as a person writes them: `drives[0].size`, and the path that they stand for."""

import re

from workstation.model.text import safe_line

Path = tuple[str | int, ...]
"""The way from the top of a file to a value: `("drives", 0, "size")`."""

_STEP = re.compile(r"(?:^|(?!^)\.)(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\[(?P<number>[0-9]{1,4})\]")


def dotted(path: Path) -> str:
    """`drives[0].size` of `("drives", 0, "size")`; safe to print, whatever the keys are."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = safe_line(step, limit=60) or "“”"
            text += f".{name}" if text else name
    return text


def parse_key(text: str) -> Path:
    """The path of a dotted key; raises ValueError where it is none."""
    path: list[str | int] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if not match:
            raise ValueError("a key such as memory, cpu.cores or drives[0].size")
        path.append(match["name"] or int(match["number"]))
        at = match.end()
    return tuple(path)


def touches(one: Path, other: Path) -> bool:
    """Whether one lies in the other, or both are the same."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]

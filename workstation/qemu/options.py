"""How a value becomes one QEMU option that cannot become two."""

import json
from collections.abc import Mapping
from pathlib import Path


def as_json(value: Mapping[str, object]) -> str:
    """For `-blockdev`, `-device`, `-netdev` and `-object`, which take JSON (QEMU >= 7.2)."""
    return json.dumps(value, default=str)


def quoted(value: str | Path) -> str:
    """For the options that take no JSON: a comma ends a value there unless it is doubled."""
    return str(value).replace(",", ",,")


def switch(on: bool) -> str:
    return "on" if on else "off"

"""`python -m tests.bench [ROW…]`: run these rows, or all, and print the table."""

import argparse
import asyncio
import importlib
import os
import signal
import sys
import time

from tests.bench.home import progress
from tests.bench.measure import Figure
from tests.bench.table import heading, lines

ROWS = {
    "launch": "launch:row",
    "list": "listing:row",
    "frame": "screens:first_frame",
    "key": "screens:key_to_frame",
    "idle": "screens:idle",
    "emulator": "console:emulator",
    "console": "console:key_to_screen",
    "status": "status:row",
    "fronts": "fronts:row",
    "screen": "guest_screen:frames",
    "thumbnails": "guest_screen:thumbnails",
    "snapshot": "layers:snapshot",
    "revert": "layers:revert",
    "create": "making:create",
    "clone": "layers:clone",
    "chain": "layers:chain",
    "reads": "layers:reads",
    "export": "carry:export",
    "import": "carry:import_",
    "open": "inplace:open_",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", metavar="ROW", nargs="*", help=f"of: {', '.join(ROWS)}")
    chosen = parser.parse_args().rows or list(ROWS)
    if unknown := set(chosen) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))} (there are: {', '.join(ROWS)})")
    os.environ.setdefault("WORKSTATION_ACCEL", "tcg")
    # So that being ended cleans up too: asyncio turns the one into a cancellation, not the other.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    begun = time.monotonic()
    print("\n".join(heading()), flush=True)
    figures = []
    for name in chosen:
        for figure in _measured(name):
            figures.append(figure)
            progress("")
            print("\n".join(lines(figure)), flush=True)
    over = sum(figure.ok is False for figure in figures)
    print(f"\n{len(figures)} figures in {time.monotonic() - begun:.0f} s, {over} over their target")
    return 0


def _measured(name: str) -> list[Figure]:
    module, _, function = ROWS[name].partition(":")
    row = getattr(importlib.import_module(f"tests.bench.{module}"), function)
    figures: list[Figure] = asyncio.run(row())
    return figures


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

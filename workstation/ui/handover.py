"""Giving the terminal to another program for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from textual.app import App


@contextmanager
def terminal(app: App[Any]) -> Iterator[None]:
    """The terminal is as it was before the program started; machines are watched all the while.

    The batch keeps the screens from painting over whoever has the terminal.
    """
    with app.batch_update(), app.suspend():
        yield

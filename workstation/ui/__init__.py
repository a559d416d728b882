"""The screens. `run` is the way in; nothing heavy is imported before it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from workstation.core.workstation import Workstation


def run(make: Callable[[], Workstation], file: Path | None = None) -> int:
    """Open the screens and stay until the person quits; returns an exit code.

    `make` builds the Workstation. It is called once, after the first frame is painted, and the
    result is entered there, inside the event loop: so nothing of it need be imported before.
    A `file` is looked into at once, as if it had been chosen under Open.
    """
    import gc

    # Collecting garbage while some 400 modules load costs a fifth of the time to the first frame.
    gc.disable()
    from workstation.ui import replies  # noqa: F401 (before the terminal is read)
    from workstation.ui.app import WorkstationApp

    app = WorkstationApp(make, file)
    app.run()
    return app.return_code or 0

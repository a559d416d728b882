"""The four roots as plain strings, and those names on disk that `workstation list` needs.

`paths.py` stands on it. It is apart because loading `pathlib` takes longer than a whole listing.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MACHINES = "machines"
MACHINE_FILE = "machine.yaml"
LOCK = "lock"
INDEX = "index.json"


class Roots:
    """After the XDG base directory specification; absolute."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """Without `XDG_RUNTIME_DIR` (a container, `su`), `/run/user/UID` serves if it is ours,
        else a private directory below `/tmp`."""
        env = os.environ if environ is None else environ
        home = env.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 (see above)

        def root(variable: str, default: str) -> str:
            value = env.get(variable, "")
            # The specification: a relative path is invalid and ignored.
            return f"{value}/workstation" if value.startswith("/") else default

        self.data = root("XDG_DATA_HOME", f"{home}/.local/share/workstation")
        self.config = root("XDG_CONFIG_HOME", f"{home}/.config/workstation")
        self.cache = root("XDG_CACHE_HOME", f"{home}/.cache/workstation")
        self.runtime = root("XDG_RUNTIME_DIR", _default_runtime())

    @property
    def machines(self) -> str:
        return f"{self.data}/{MACHINES}"

    @property
    def index(self) -> str:
        return f"{self.cache}/{INDEX}"


def _default_runtime() -> str:
    uid = os.getuid()
    session = f"/run/user/{uid}"
    if os.access(session, os.W_OK):
        return f"{session}/workstation"
    return f"/tmp/workstation-{uid}"  # noqa: S108 (its owner and mode are checked)

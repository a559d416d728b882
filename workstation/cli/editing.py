"""A text in the person's editor, until it is right."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from workstation.cli import complain
from workstation.errors import HostError, InvalidError


def open_editor(file: Path) -> None:
    """Run $VISUAL or $EDITOR on the file; raises HostError where that fails."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        done = subprocess.run([*shlex.split(editor), str(file)], check=False)
    except (OSError, ValueError) as error:
        raise HostError(f"the editor “{editor}” does not start", hint="set EDITOR") from error
    if done.returncode:
        raise HostError(f"the editor “{editor}” ended with exit code {done.returncode}")


async def edit_until_valid(text: str, name: str, save: Callable[[str], Awaitable[None]]) -> bool:
    """Whether something new was saved. After a problem the person may edit again or give up."""
    with tempfile.TemporaryDirectory(prefix="workstation-") as directory:
        file = Path(directory) / name
        file.write_text(text)
        while True:
            open_editor(file)
            edited = file.read_text(errors="replace")
            if edited == text:
                return False
            try:
                await save(edited)
            except InvalidError as error:
                if not sys.stdin.isatty():
                    raise
                complain(error)
                if not _again():
                    raise
            else:
                return True


def _again() -> bool:
    return input("Edit again? [Y/n] ").strip().lower() not in ("n", "no")

"""Editing a machine's file in the person's own editor."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import App

from workstation.errors import HostError, InvalidError
from workstation.ui.handover import terminal

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation


def editor() -> list[str]:
    """The editor's command; raises HostError where there is none."""
    for variable in ("VISUAL", "EDITOR"):
        if words := shlex.split(os.environ.get(variable, "")):
            return words
    for known in ("sensible-editor", "editor", "nano", "vi"):
        if found := shutil.which(known):
            return [found]
    raise HostError("there is no editor", hint="set EDITOR to the editor you like")


async def edit(app: App[Any], station: Workstation, name: str) -> None:
    """Have a copy edited, and save it once it is valid or the person gives up."""
    command = editor()
    before = text = station.definition_text(name)
    while True:
        text = await _edited(app, command, f"{name}.yaml", text)
        if text == before:
            app.notify(f"{name}: nothing changed", markup=False)
            return
        try:
            await station.save_definition(name, text)
        except InvalidError as error:
            from workstation.ui.dialogs.error import ErrorDialog

            if not await app.push_screen_wait(ErrorDialog(error, again="Edit again")):
                return
        else:
            app.notify(f"{name}: saved", markup=False)
            return


async def _edited(app: App[Any], command: list[str], name: str, text: str) -> str:
    """The text as the editor left it; raises HostError where the editor failed."""
    with tempfile.TemporaryDirectory(prefix="workstation-") as directory:
        copy = Path(directory, name)
        _write(copy, text)
        with terminal(app):
            status = await _run([*command, str(copy)])
        if status:
            raise HostError(
                f"{command[0]} ended with status {status}",
                hint="nothing was saved; set EDITOR to an editor that works here",
            )
        return _read(copy)


# A file of a few hundred bytes in memory: not worth a thread.
def _write(copy: Path, text: str) -> None:
    copy.write_text(text, encoding="utf-8")


def _read(copy: Path) -> str:
    return copy.read_text(encoding="utf-8", errors="replace")


async def _run(command: list[str]) -> int:
    try:
        process = await asyncio.create_subprocess_exec(*command)
    except OSError as error:
        raise HostError(
            f"{command[0]} cannot be run: {error.strerror}",
            hint="set EDITOR to the editor you like",
        ) from error
    return await process.wait()

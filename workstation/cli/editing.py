"""`workstation edit`: a machine's file in the person's editor, until it is right."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.cli.showing import as_data
from workstation.cli.station import station
from workstation.cli.trouble import complain, warn
from workstation.core.library.names import find
from workstation.errors import HostError, InvalidError
from workstation.model.machine import MachineView
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def edit(call: "Call") -> None:
    """The machine's file in $EDITOR, again until it is right or given up."""
    before = find(Paths.from_environment(), call.name).file.read_text(errors="replace")
    with _draft(call.name, before) as file:
        changed = _edit(call.name, file, before)
    view = asyncio.run(_view(call.name))
    if call.json:
        print(json.dumps(as_data(view), indent=2))
        return
    effect = " (takes effect at the next start)" if changed and view.state.live else ""
    print(f"“{call.name}”: {'saved' if changed else 'unchanged'}{effect}")


def _edit(name: str, file: Path, before: str) -> bool:
    """Whether something new was saved."""
    while True:
        open_editor(file)
        edited = file.read_text(errors="replace")
        if edited == before:
            return False
        try:
            asyncio.run(_save(name, edited))
        except InvalidError as error:
            if not sys.stdin.isatty():
                raise
            complain(error)
            if not _again():
                raise InvalidError(f"the file of “{name}” stays as it was") from error
        else:
            return True


async def _save(name: str, text: str) -> None:
    async with station("edit", name) as found:
        await found.save_definition(name, text)


async def _view(name: str) -> MachineView:
    async with station("edit", name) as found:
        return found.view(name)


@contextmanager
def _draft(name: str, text: str) -> Iterator[Path]:
    """A file to edit; what could not be saved is kept, and it is said where."""
    directory = Path(tempfile.mkdtemp(prefix="workstation-"))
    file = directory / f"{name}.yaml"
    file.write_text(text)
    try:
        yield file
    except BaseException:
        if file.exists() and file.read_text(errors="replace") != text:
            warn(f"what you wrote is kept in {file}")
        else:
            shutil.rmtree(directory)
        raise
    shutil.rmtree(directory)


def open_editor(file: Path) -> None:
    """Run $VISUAL or $EDITOR on the file; raises HostError where that fails."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        with _interrupts_left_to_it():
            done = subprocess.run([*shlex.split(editor), str(file)], check=False)
    except (OSError, ValueError) as error:
        raise HostError(
            f"the editor “{editor}” does not start", hint="set EDITOR to one that is installed"
        ) from error
    if done.returncode:
        raise HostError(
            f"the editor “{editor}” ended with exit code {done.returncode}",
            hint="nothing was changed; EDITOR names another one",
        )


@contextmanager
def _interrupts_left_to_it() -> Iterator[None]:
    """ctrl+c is a key of the editor's while it has the terminal."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _again() -> bool:
    try:
        return input("Edit again? [Y/n] ").strip().lower() not in ("n", "no")
    except EOFError:
        return False

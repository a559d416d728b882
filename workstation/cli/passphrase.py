"""A bundle's passphrase: from a file, or typed by a person; never a word of the command."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.errors import UsageError
from workstation.model.text import safe_line
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call

_MOST = 4096


def new(call: "Call", target: Path) -> str:
    """For a bundle that is to be encrypted, or is there and is; empty for any other."""
    if not call.encrypt:
        found = known(call, target)
        if found and not target.exists():
            raise UsageError("a passphrase is for --encrypt", hint="say that too")
        return found
    if call.passphrase_file:
        return _read(call.passphrase_file)
    first = _typed("passphrase: ")
    if _typed("once more: ") != first:
        raise UsageError("that was not the same twice", hint="try again")
    return first


def known(call: "Call", path: Path) -> str:
    """Of a bundle that is encrypted; empty for any other file, and where its key is at hand."""
    if call.passphrase_file:
        return _read(call.passphrase_file)
    from workstation.core.bundle.reader import id_of, lock_of
    from workstation.core.bundle.unlocked import Keyring

    if not lock_of(path) or Keyring(Paths.from_environment()).vault(id_of(path)):
        return ""
    return typed(path)


def offered(call: "Call", path: Path) -> str:
    """The same where it may be left out: empty for Enter, and where nobody is there to type."""
    if call.passphrase_file:
        return known(call, path)
    try:
        return known(call, path)
    except UsageError:
        return ""


def typed(path: Path) -> str:
    """Of that bundle, as a person types it; raises UsageError where nobody is there."""
    return _typed(f"passphrase of {safe_line(path.name)}: ")


def given(call: "Call") -> str:
    """For what comes through standard input: nobody can type there."""
    return _read(call.passphrase_file) if call.passphrase_file else ""


def _read(file: str) -> str:
    """The first line of a file, without its end."""
    try:
        with Path(file).expanduser().open("rb") as opened:
            line = opened.readline(_MOST).decode()
    except (OSError, ValueError) as error:
        raise UsageError(f"the passphrase cannot be read from {file}: {error}") from error
    return line.rstrip("\r\n")


def _typed(prompt: str) -> str:
    try:
        with open("/dev/tty"):  # noqa: PTH123 (getpass asks there, whatever standard input is)
            return getpass.getpass(prompt)
    except (OSError, EOFError):
        raise UsageError(
            "a passphrase is needed, and nobody is there to type it",
            hint="name a file with it in its first line: --passphrase-file FILE",
        ) from None

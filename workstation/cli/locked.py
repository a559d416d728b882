"""Encrypted bundles on the command line: unlocked until the log-out, asked for where needed."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.cli import passphrase
from workstation.cli.station import station
from workstation.core.bundle.unlocked import Keyring
from workstation.core.library.names import find
from workstation.core.workstation import Workstation
from workstation.errors import LockedError, UsageError
from workstation.model.text import safe_line
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def unlock(call: "Call") -> None:
    """The key of a bundle is at hand until the person logs out; or with --forget no longer."""
    keyring = Keyring(Paths.from_environment())
    path = Path(call.what).expanduser()
    path = path.absolute() if path.is_file() else asyncio.run(_read_by(call.what))
    identity = _identity(path)
    if call.forget:
        keyring.forget(identity)
    else:
        secret = passphrase.known(call, path)
        asyncio.run(_unlock(path, secret))
    state = "locked" if call.forget else "unlocked"
    until = "" if call.forget else _until(keyring)
    data = {"file": str(path), "state": state}
    print(json.dumps(data, indent=2) if call.json else f"{safe_line(str(path))}: {state}{until}")


def _until(keyring: Keyring) -> str:
    if keyring.lasts:
        return " until you log out, or workstation unlock --forget"
    return "; but its key cannot be kept: the next command asks again"


async def _unlock(path: Path, secret: str) -> None:
    async with station("unlock") as found:
        await asyncio.to_thread(found.carry.unlock, path, secret)


def _identity(path: Path) -> str:
    from workstation.core.bundle import reader

    if not reader.lock_of(path):
        raise UsageError(f"{path} is not encrypted", hint="it needs no key")
    return reader.id_of(path)


async def _read_by(name: str) -> Path:
    """The encrypted bundle that a machine reads."""
    find(Paths.from_environment(), name)
    async with station("unlock", name) as found:
        return await asyncio.to_thread(_encrypted, found, name)


def _encrypted(found: Workstation, name: str) -> Path:
    paths = found.inplace.encrypted(name)
    if not paths:
        raise UsageError(f"“{name}” reads no encrypted bundle", hint="it needs no key")
    return paths[0]


def asked(error: LockedError) -> bool:
    """Ask for the passphrase that a command lacked; whether it can be tried again."""
    path = Path(error.bundle)
    try:
        secret = passphrase.typed(path)
    except UsageError:
        return False  # nobody is there: the error says what can be done
    asyncio.run(_unlock(path, secret))
    return True

"""What ssh is told of a machine: its host keys as they are pinned here, the way in, the key.

One file of options for each call, and one with all machines for a person's own `Include`. Nothing
of the person's other hosts is read or written: names in the file end in `.vm`, so that no machine,
whoever named it, can stand for another host.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from workstation.core import atomic
from workstation.errors import HostError
from workstation.paths import MachinePaths, Paths

PRIVATE = "id_ed25519"
"""In the machine's `ssh/`: the key that was made for it."""

SUFFIX = ".vm"


@dataclass(frozen=True, slots=True)
class Door:
    """The way into a machine by ssh."""

    port: int
    """Of 127.0.0.1."""
    user: str = ""
    """Empty: whoever asks, by the name that he has here."""


def known_hosts(machine: MachinePaths) -> Path:
    return machine.ssh / "known_hosts"


def pin(machine: MachinePaths, name: str, keys: Iterable[str]) -> None:
    """From now on the machine has these host keys and no others."""
    lines = [f"{name}{SUFFIX} {' '.join(key.split()[:2])}\n" for key in keys]
    machine.ssh.mkdir(mode=0o700, exist_ok=True)
    atomic.write(known_hosts(machine), "".join(lines), lasting=False)


def unpin(machine: MachinePaths) -> None:
    """The next one that answers is believed."""
    known_hosts(machine).unlink(missing_ok=True)


def hand_on(paths: Paths, name: str, new: str) -> None:
    """A copy of a machine has its host keys, and lets the same key in.

    One of a machine that is not set up yet has neither.
    """
    source, target = paths.machine(name), paths.machine(new)
    if source.seed.exists() or not source.ssh.is_dir():
        return
    target.ssh.mkdir(mode=0o700, exist_ok=True)
    for file in (PRIVATE, f"{PRIVATE}.pub"):
        if (source.ssh / file).exists():
            shutil.copy(source.ssh / file, target.ssh / file)
    if is_pinned(source):
        lines = known_hosts(source).read_text().splitlines()
        pin(target, new, [line.partition(" ")[2] for line in lines])


def not_set_up(name: str) -> str:
    """What is said of a copy that was made too early."""
    return (
        f"“{name}” was not set up yet, and its copy will not be:"
        f" workstation wait {name} --for setup, then clone it"
    )


def is_pinned(machine: MachinePaths) -> bool:
    try:
        return known_hosts(machine).stat().st_size > 0
    except OSError:
        return False


def stanza(machine: MachinePaths, door: Door) -> str:
    """What ssh_config(5) needs to get into it, and nobody else's options."""
    name = f"{machine.name}{SUFFIX}"
    key = machine.ssh / PRIVATE
    options = [
        ("HostName", "127.0.0.1"),
        ("Port", str(door.port)),
        *([("User", door.user)] if door.user else []),
        ("HostKeyAlias", name),
        ("UserKnownHostsFile", _quoted(known_hosts(machine))),
        ("GlobalKnownHostsFile", "/dev/null"),
        ("StrictHostKeyChecking", "yes" if is_pinned(machine) else "accept-new"),
        ("UpdateHostKeys", "no"),
        ("CheckHostIP", "no"),
        ("ForwardAgent", "no"),
        *([("IdentityFile", _quoted(key)), ("IdentitiesOnly", "yes")] if key.exists() else []),
    ]
    return f"Host {name}\n" + "".join(f"    {key} {value}\n" for key, value in options)


def _quoted(path: Path) -> str:
    """As ssh_config(5) reads a path: `%` begins a token there, `${` a variable."""
    text = str(path)
    if any(sign in text for sign in ('"', "\\", "${", "\n")):
        raise HostError(
            f"ssh cannot be told of the path {text}",
            hint="set XDG_DATA_HOME to a path without quotes, backslashes and “${”",
        )
    return '"' + text.replace("%", "%%") + '"'

"""Into a guest by the system's own ssh and scp, told of nothing but that machine."""

import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from workstation.core import atomic
from workstation.core.guest import files, hosts, ports
from workstation.core.guest.agent import asking
from workstation.core.guest.hosts import SUFFIX, Door
from workstation.core.machine import run
from workstation.core.machine.machine import Machine
from workstation.core.provision.keys import is_public
from workstation.errors import HostError, WorkstationError
from workstation.model.profile import Forward
from workstation.paths import Paths
from workstation.profile.load import load_definition

_HOST_KEYS = tuple(f"/etc/ssh/ssh_host_{kind}_key.pub" for kind in ("ed25519", "ecdsa", "rsa"))


async def door(machine: Machine, user: str = "") -> Door:
    """The way in; raises NotAllowedError where there is none."""
    port = ports.way_to(machine, ports.SSH)
    if not port:
        raise ports.no_way(machine, ports.SSH)
    await _pin(machine)
    profile = machine.definition.profile if machine.definition else None
    return Door(port, user or (profile.provision.user if profile else None) or "")


async def _pin(machine: Machine) -> None:
    """Where its host keys are not known yet, its agent says them; else the first that answers."""
    if hosts.is_pinned(machine.paths):
        return
    machine.paths.ssh.mkdir(mode=0o700, exist_ok=True)
    found = []
    with suppress(WorkstationError):
        async with asking(machine) as agent:
            for path in _HOST_KEYS:
                with suppress(WorkstationError):
                    line = (await files.read_text(agent, path, 4096)).strip()
                    found += [line] if is_public(line) else []
    if found:
        hosts.pin(machine.paths, machine.name, found)


def program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        raise HostError(
            f"{name} is not installed", hint="install openssh-client (or openssh-clients)"
        )
    return found


@contextmanager
def options_file(machine: Machine, way: Door) -> Iterator[Path]:
    """All that ssh reads: no other file of options, no other host."""
    with tempfile.TemporaryDirectory(prefix="workstation-ssh-") as directory:
        file = Path(directory, "config")
        file.write_text(hosts.stanza(machine.paths, way))
        yield file


def ssh_words(config: Path, name: str, command: Sequence[str], *, terminal: bool) -> list[str]:
    """How ssh is called; the command is one for the guest's shell, each word kept whole."""
    asked = [shlex.join(command)] if len(command) > 1 else list(command)
    tty = ["-t"] if terminal else []
    return [program("ssh"), "-F", str(config), *tty, "--", f"{name}{SUFFIX}", *asked]


def scp_words(config: Path, source: str, target: str, *, recursive: bool) -> list[str]:
    return [program("scp"), "-F", str(config), *(["-r"] if recursive else []), "--", source, target]


# -- a file for a person's own Include --------------------------------------------


def write_config(paths: Paths, names: Sequence[str]) -> list[str]:
    """All machines that run and can be reached; returns their names."""
    found, texts = [], []
    for name in names:
        machine = paths.machine(name)
        record = run.read(machine)
        with suppress(WorkstationError, OSError):
            port = _ssh_port(record) if record else 0
            if port:
                user = load_definition(machine.file).profile.provision.user or ""
                texts.append(hosts.stanza(machine, Door(port, user)))
                found.append(name)
    header = "# Written by workstation: ssh NAME.vm\n"
    atomic.write(paths.ssh_config, "\n".join([header, *texts]), lasting=False)
    return found


def _ssh_port(record: run.Record) -> int:
    rules = [Forward.model_validate(text) for network in record.forwards for text in network]
    return ports.way_by(rules, ports.SSH)

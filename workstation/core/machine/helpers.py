"""What QEMU talks to besides us: processes that are started before it, and end when it does."""

import os
import socket
import subprocess
from pathlib import Path

from workstation.errors import HostError
from workstation.model.profile import Forward, Share
from workstation.qemu import passt, virtiofs
from workstation.qemu.argv import Launch

_HELPERS_SOCKET = 4

_LEASHED = """\
exec 3<&1 4<&0 </dev/null >&2
("$@" 3<&- & exec 4<&-; read -r _ <&3; kill $!) &
"""
"""Runs the helper until the leash (standard output) ends, with QEMU, its last holder. What is
standard input becomes the helper's socket; nobody else may hold it, or its end goes unnoticed."""


def start_helpers(launch: Launch) -> None:
    """Start those that the machine needs; each ends when QEMU does, or did not even start."""
    if launch.profile.devices.tpm:
        _start_swtpm(launch)
    networks = zip(launch.profile.networks, launch.forwards, strict=True)
    for number, (network, forwards) in enumerate(networks):
        if network.mode == "passt":
            _start_passt(launch, f"net{number}", forwards)
    shares = zip(launch.profile.shares, launch.shares, strict=True)
    for number, (share, directory) in enumerate(shares):
        if share.mode == "virtiofs":
            _start_virtiofsd(launch, f"share{number}", share, directory)


def _start(launch: Launch, argv: list[str], channel: int, log: Path, cwd: Path) -> None:
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)) as words:
        subprocess.run(
            ["/bin/sh", "-c", _LEASHED, "leash", *argv],
            stdin=channel,
            stdout=launch.helpers["leash"],
            stderr=words,
            cwd=cwd,
            start_new_session=True,
            umask=0o077,
            check=True,
        )


def _start_swtpm(launch: Launch) -> None:
    state = launch.paths.tpm_state
    state.mkdir(mode=0o700, exist_ok=True)
    # Its options cannot hold a path with a comma, so they hold no path at all.
    argv = [launch.facts.swtpm, "socket", "--tpm2", "--terminate",
            "--tpmstate", "dir=.", "--ctrl", f"type=unixio,clientfd={_HELPERS_SOCKET}"]  # fmt: skip
    _start(launch, argv, launch.helpers["tpm"], launch.paths.tpm_log, state)


def _start_passt(launch: Launch, name: str, forwards: tuple[Forward, ...]) -> None:
    program = launch.facts.passt
    if trouble := passt.trouble(program):
        raise HostError(
            f"“{launch.paths.name}” has a network of mode passt, and {trouble}",
            hint="set the network's mode to user"
            if program
            else "install the package passt, or set the network's mode to user",
        )
    tcp, udp = ([_passt_port(one) for one in forwards if one.protocol == protocol]
                for protocol in ("tcp", "udp"))  # fmt: skip
    argv = passt.arguments(program, _HELPERS_SOCKET, tcp, udp)
    log = launch.paths.data / f"{name}.log"
    _start(launch, argv, launch.helpers[name], log, Path("/"))


def _passt_port(forward: Forward) -> str:
    """As passt(1) writes it."""
    host, guest = ([port for port, _ in forward.pairs()], [port for _, port in forward.pairs()])
    return f"{forward.address}/{host[0]}-{host[-1]}:{guest[0]}-{guest[-1]}"


def _start_virtiofsd(launch: Launch, name: str, share: Share, directory: Path) -> None:
    program = launch.facts.virtiofsd
    if trouble := virtiofs.trouble(program, writable=share.writable):
        raise HostError(
            f"the share “{share.tag}” wants virtiofs, and {trouble}",
            hint="set the share's mode to 9p, or install virtiofsd 1.10 or newer",
        )
    argv = virtiofs.arguments(program, directory, _HELPERS_SOCKET, writable=share.writable)
    # It listens on a socket that is there before it starts, as QEMU's own do.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(launch.paths.share_socket(name)))
        listener.listen(1)
        log = launch.paths.data / f"{name}.log"
        _start(launch, argv, listener.fileno(), log, Path("/"))

"""What one start of a machine takes from the host: sockets, ports, files, helper processes."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workstation.core import heads
from workstation.core.images import Images
from workstation.core.store import Store
from workstation.errors import HostError, NotFoundError
from workstation.model.host import HostFacts
from workstation.model.machine import Definition
from workstation.model.profile import Accelerator, Firmware, Forward, Network
from workstation.paths import MONITORS, MachinePaths, Paths
from workstation.qemu.argv import Launch
from workstation.qemu.firmware import find_firmware

PORTS_TRIED = 200
"""How far above the port that was asked for a free one is looked for."""


@contextmanager
def prepared(
    paths: Paths,
    machine: MachinePaths,
    definition: Definition,
    facts: HostFacts,
    accelerator: Accelerator,
    store: Store,
) -> Iterator[Launch]:
    """Everything a launch needs; our copies of the listening sockets are closed at the end."""
    if not facts.qemu:
        raise HostError("QEMU is not installed", hint="workstation doctor says what to install")
    profile = definition.profile
    images = Images(paths)
    head = heads.read_history(machine).head
    _fresh_runtime(machine)
    listeners = _listen(machine, definition)
    try:
        with_uefi = profile.boot.firmware is not Firmware.BIOS
        yield Launch(
            paths=machine,
            definition=definition,
            facts=facts,
            accelerator=accelerator,
            drives=tuple(
                heads.chain_of(machine, store, head, f"drive{number}")
                for number in range(len(profile.drives))
            ),
            discs=tuple(
                images.resolve(drive.image) if drive.image else None for drive in profile.cdroms
            ),
            kernel=_pinned(machine.kernel) if profile.boot.kernel else None,
            initrd=_pinned(machine.initrd) if profile.boot.initrd else None,
            firmware=find_firmware(facts, profile.boot.firmware, profile.machine.type)
            if with_uefi
            else None,
            nvram=heads.chain_of(machine, store, head, "nvram") if with_uefi else (),
            forwards=free_forwards(profile.networks),
            shares=tuple(_directory(share.path) for share in profile.shares),
            listeners={name: listener.fileno() for name, listener in listeners.items()},
        )
    finally:
        for listener in listeners.values():
            listener.close()


def _fresh_runtime(machine: MachinePaths) -> None:
    shutil.rmtree(machine.runtime, ignore_errors=True)
    machine.runtime.mkdir(mode=0o700)


def _listen(machine: MachinePaths, definition: Definition) -> dict[str, socket.socket]:
    """Sockets that listen before QEMU starts: whoever connects waits, nobody polls."""
    places = {f"monitor{number}": machine.monitor(number) for number in range(MONITORS)}
    if definition.profile.devices.serial:
        places["serial"] = machine.serial
    if definition.profile.devices.agent:
        places["agent"] = machine.agent
    listeners = {}
    for name, path in places.items():
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(1)
        listeners[name] = listener
    return listeners


def _pinned(path: Path) -> Path:
    if path.exists():
        return path
    raise NotFoundError(
        f"{path} is missing: the machine boots it", hint="make the machine anew from its profile"
    )


def _directory(written: str) -> Path:
    path = Path(written).expanduser()
    if not path.is_dir():
        raise NotFoundError(f"the shared directory {path} is not there", hint="make it first")
    return path.resolve()


def free_forwards(networks: tuple[Network, ...]) -> tuple[tuple[Forward, ...], ...]:
    """Each network's forwards, a taken host port replaced by the next free one above it."""
    chosen: set[tuple[str, int]] = set()

    def place(forward: Forward) -> Forward:
        for port in range(forward.host, min(forward.host + PORTS_TRIED, 65536)):
            key = (forward.protocol, port)
            if key not in chosen and _is_free(forward, port):
                chosen.add(key)
                return forward.model_copy(update={"host": port})
        raise HostError(
            f"no host port is free from {forward.host} on for the forward {forward}",
            hint="give the forward another host port: workstation edit",
        )

    return tuple(tuple(place(forward) for forward in network.forwards) for network in networks)


def _is_free(forward: Forward, port: int) -> bool:
    kind = socket.SOCK_STREAM if forward.protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((forward.address, port))
        except OSError:
            return False
    return True


def start_helpers(launch: Launch) -> None:
    """Start what QEMU talks to besides us; each ends by itself when QEMU does."""
    if launch.profile.devices.tpm:
        _start_swtpm(launch)
    for share, directory in zip(launch.profile.shares, launch.shares, strict=True):
        if share.mode == "virtiofs":
            options = () if share.writable else ("--readonly",)
            _start_virtiofsd(launch, share.tag, directory, options)


def _start_swtpm(launch: Launch) -> None:
    state = launch.paths.tpm_state
    state.mkdir(mode=0o700, exist_ok=True)
    control = f"type=unixio,path={launch.paths.tpm},mode=0600"
    _run(
        [launch.facts.swtpm, "socket", "--tpm2", "--daemon", "--terminate",
         "--tpmstate", f"dir={state}", "--ctrl", control, "--log", f"file={launch.paths.tpm_log}"]
    )  # fmt: skip


def _start_virtiofsd(launch: Launch, tag: str, directory: Path, options: tuple[str, ...]) -> None:
    if not launch.facts.virtiofsd:
        raise HostError(
            f"the share “{tag}” wants virtiofs, and virtiofsd is not installed",
            hint="install the package virtiofsd, or set the share's mode to 9p",
        )
    if os.getuid():
        options = (*options, "--sandbox=namespace")
    # It listens on a socket that is there before it starts, as QEMU's own do.
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(launch.paths.share_socket(tag)))
    listener.listen(1)
    with listener:
        subprocess.Popen(
            [launch.facts.virtiofsd, f"--fd={listener.fileno()}", f"--shared-dir={directory}",
             *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(listener.fileno(),),
        ).returncode = 0  # fmt: skip


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, timeout=10, check=False)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        raise HostError(f"{Path(argv[0]).name} did not start: {words}", details=" ".join(argv))

"""What one start of a machine takes from the host: sockets, ports, files, helper processes."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from workstation.core import heads
from workstation.core.images import Images
from workstation.core.provision import seed
from workstation.core.settings import load_settings
from workstation.core.store import Store
from workstation.errors import HostError, NotFoundError
from workstation.model.host import HostFacts
from workstation.model.machine import Definition
from workstation.model.profile import Accelerator, Firmware, Forward, Network, Share
from workstation.paths import MONITORS, MachinePaths, Paths
from workstation.qemu import line_log
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
    """Everything a launch needs; our copies of its sockets are closed at the end."""
    if not facts.qemu:
        raise HostError("QEMU is not installed", hint="workstation doctor says what to install")
    profile = definition.profile
    images = Images(paths)
    paths.check_socket_paths(machine.name)
    head = heads.read_history(machine).head
    _fresh_runtime(machine)
    with ExitStack() as sockets:
        listeners = _listen(machine, definition, sockets)
        helpers = _pairs(definition, sockets, listeners)
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
            discs=seed.discs(
                machine,
                tuple(images.resolve(one.image) if one.image else None for one in profile.cdroms),
            ),
            kernel=_pinned(machine.kernel) if profile.boot.kernel else None,
            initrd=_initrd(machine) if profile.boot.initrd else None,
            ignition=_if_there(seed.ignition(machine)),
            firmware=find_firmware(facts, profile.boot.firmware, profile.machine.type)
            if with_uefi
            else None,
            nvram=heads.chain_of(machine, store, head, "nvram") if with_uefi else (),
            forwards=free_forwards(profile.networks),
            shares=tuple(_directory(share.path) for share in profile.shares),
            helpers=helpers,
            log_size=load_settings(paths).serial_log,
            listeners=listeners,
        )


def _fresh_runtime(machine: MachinePaths) -> None:
    shutil.rmtree(machine.runtime, ignore_errors=True)
    machine.runtime.mkdir(mode=0o700)


def _listen(machine: MachinePaths, definition: Definition, sockets: ExitStack) -> dict[str, int]:
    """Sockets that listen before QEMU starts: whoever connects waits, nobody polls."""
    places = {f"monitor{number}": machine.monitor(number) for number in range(MONITORS)}
    if definition.profile.devices.serial:
        places["serial"] = machine.serial
    if definition.profile.devices.agent:
        places["agent"] = machine.agent
    listeners = {}
    for name, path in places.items():
        listener = sockets.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(1)
        listeners[name] = listener.fileno()
    return listeners


def _pairs(definition: Definition, sockets: ExitStack, ours: dict[str, int]) -> dict[str, int]:
    """Connected pairs: QEMU's ends are added to `ours`, the helpers' are returned."""
    profile = definition.profile
    helped = profile.devices.tpm or any(share.mode == "virtiofs" for share in profile.shares)
    names = [*(["leash"] if helped else []), *(["tpm"] if profile.devices.tpm else [])]
    theirs = {}
    for name in names:
        one, other = map(sockets.enter_context, socket.socketpair())
        ours[name], theirs[name] = one.fileno(), other.fileno()
    if profile.devices.serial:
        theirs["serial-log"], ours["serial-log"] = _pipe(sockets)
    return theirs


def _pipe(closed: ExitStack) -> tuple[int, int]:
    """Where to read and where to write."""
    ends = os.pipe()
    for end in ends:
        closed.callback(os.close, end)
    return ends


def _initrd(machine: MachinePaths) -> Path:
    return _if_there(seed.initrd(machine)) or _pinned(machine.initrd)


def _if_there(path: Path) -> Path | None:
    return path if path.exists() else None


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
            if key not in chosen and is_free(forward, port):
                chosen.add(key)
                return forward.model_copy(update={"host": port})
        raise HostError(
            f"no host port is free from {forward.host} on for the forward {forward}",
            hint="give the forward another host port: workstation edit",
        )

    return tuple(tuple(place(forward) for forward in network.forwards) for network in networks)


def is_free(forward: Forward, port: int) -> bool:
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
    """Start what QEMU talks to besides us; each ends when QEMU does, or did not even start."""
    if launch.profile.devices.serial:
        _keep_log(launch)
    if launch.profile.devices.tpm:
        _start_swtpm(launch)
    shares = zip(launch.profile.shares, launch.shares, strict=True)
    for number, (share, directory) in enumerate(shares):
        if share.mode == "virtiofs":
            _start_virtiofsd(launch, f"share{number}", share, directory)


def _keep_log(launch: Launch) -> None:
    if launch.incoming is None:
        line_log.begin_anew(launch.paths.serial_log)
    line_log.keep(launch.helpers["serial-log"], launch.paths.serial_log, launch.log_size)


_HELPERS_SOCKET = 4

_LEASHED = """\
exec 3<&1 4<&0 </dev/null >&2
("$@" 3<&- & exec 4<&-; read -r _ <&3; kill $!) &
"""
"""Runs the helper until the leash (standard output) ends, with QEMU, its last holder. What is
standard input becomes the helper's socket; nobody else may hold it, or its end goes unnoticed."""


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


def _start_virtiofsd(launch: Launch, name: str, share: Share, directory: Path) -> None:
    program = launch.facts.virtiofsd
    if not program:
        raise HostError(
            f"the share “{share.tag}” wants virtiofs, and virtiofsd is not installed",
            hint="install the package virtiofsd, or set the share's mode to 9p",
        )
    known = subprocess.run([program, "--help"], capture_output=True, timeout=10, check=False).stdout
    needed = ["--shared-dir"] if share.writable else ["--shared-dir", "--readonly"]
    if any(option.encode() not in known for option in needed):
        raise HostError(
            f"the share “{share.tag}” wants virtiofs, and {program} is too old for it",
            hint="set the share's mode to 9p, or install virtiofsd 1.10 or newer",
        )
    argv = [program, f"--shared-dir={directory}", f"--fd={_HELPERS_SOCKET}", *needed[1:]]
    # It listens on a socket that is there before it starts, as QEMU's own do.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(launch.paths.share_socket(name)))
        listener.listen(1)
        log = launch.paths.data / f"{name}.log"
        _start(launch, argv, listener.fileno(), log, Path("/"))

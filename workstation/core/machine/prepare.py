"""What one start of a machine takes from the host: sockets, ports, files, descriptors."""

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from workstation.core.images import Images
from workstation.core.lan.plug import cables
from workstation.core.layers import heads
from workstation.core.layers.store import Store
from workstation.core.machine.forwards import free_forwards
from workstation.core.provision import seed
from workstation.core.settings import load_settings
from workstation.errors import HostError, NotFoundError
from workstation.model.host import FirmwareFiles, HostFacts
from workstation.model.layer import Head
from workstation.model.machine import Definition
from workstation.model.profile import Accelerator, Firmware, Profile
from workstation.paths import MONITORS, MachinePaths, Paths
from workstation.qemu import line_log, secrets
from workstation.qemu.argv import Launch
from workstation.qemu.firmware import find_firmware
from workstation.qemu.process import FIRST_DESCRIPTOR


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
        listeners |= cables(paths, definition, sockets)
        helpers = _pairs(definition, sockets, listeners)
        firmware = _firmware(facts, profile)
        drives = tuple(
            heads.chain_of(machine, store, head, f"drive{number}")
            for number in range(len(profile.drives))
        )
        read = (file for chain in drives for file in chain)
        yield Launch(
            paths=machine,
            definition=definition,
            facts=facts,
            accelerator=accelerator,
            drives=drives,
            secrets=sockets.enter_context(secrets.handed(read)),
            discs=seed.discs(
                machine,
                tuple(images.resolve(one.image) if one.image else None for one in profile.cdroms),
            ),
            kernel=_pinned(machine.kernel) if profile.boot.kernel else None,
            initrd=_initrd(machine) if profile.boot.initrd else None,
            ignition=_if_there(seed.ignition(machine)),
            firmware=firmware,
            nvram=heads.chain_of(machine, store, head, "nvram") if firmware else (),
            forwards=free_forwards(profile.networks),
            shares=tuple(_directory(share.path) for share in profile.shares),
            helpers=helpers,
            printed=_printed(store, head),
            log_size=load_settings(paths).serial_log,
            listeners=listeners,
        )


def _fresh_runtime(machine: MachinePaths) -> None:
    """Without what the last run has left there."""
    try:
        left = list(os.scandir(machine.runtime))
    except FileNotFoundError:
        machine.runtime.mkdir(mode=0o700)
        return
    for entry in left:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry)
        else:
            Path(entry).unlink()


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
        listener.listen(1)
        listeners[name] = listener.fileno()
    return listeners


def _pairs(definition: Definition, sockets: ExitStack, ours: dict[str, int]) -> dict[str, int]:
    """Connected pairs: QEMU's ends are added to `ours`, the helpers' are returned."""
    profile = definition.profile
    served = any(share.mode == "virtiofs" for share in profile.shares)
    passts = [f"net{n}" for n, one in enumerate(profile.networks) if one.mode == "passt"]
    helped = profile.devices.tpm or served or passts
    tpm = ["tpm"] if profile.devices.tpm else []
    names = [*(["leash"] if helped else []), *tpm, *passts]
    theirs = {}
    for name in names:
        one, other = map(sockets.enter_context, socket.socketpair())
        ours[name], theirs[name] = one.fileno(), other.fileno()
    return theirs


def _firmware(facts: HostFacts, profile: Profile) -> FirmwareFiles | None:
    """The UEFI that it boots by; None for a BIOS, which QEMU has. Raises HostError without one."""
    if profile.boot.firmware is Firmware.BIOS:
        return None
    return find_firmware(facts, profile.boot.firmware, profile.machine.type)


def _printed(store: Store, head: Head) -> Path | None:
    """What the guest had said whose memory lies in the layer below."""
    if not head.layer or head.resume != "layer":
        return None
    return _if_there(store.directory(head.layer) / heads.PRINTED)


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


@contextmanager
def handed_down(launch: Launch) -> Iterator[tuple[Launch, list[int]]]:
    """The launch with copies of all descriptors that QEMU gets, under numbers that its witness
    leaves alone; closed at the end."""
    with ExitStack() as copies:

        def copy(descriptor: int) -> int:
            number = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
            copies.callback(os.close, number)
            return number

        listeners = {name: copy(one) for name, one in launch.listeners.items()}
        secrets = {name: copy(one) for name, one in launch.secrets.items()}
        incoming = None if launch.incoming is None else copy(launch.incoming)
        rest = [] if incoming is None else [incoming]
        yield (
            replace(launch, listeners=listeners, secrets=secrets, incoming=incoming),
            [*listeners.values(), *secrets.values(), *rest],
        )


def begin_log(launch: Launch) -> line_log.Kept | None:
    """The log of its line: of a guest that is booted a new one, of one that goes on its own."""
    if not launch.profile.devices.serial:
        return None
    log = launch.paths.serial_log
    if launch.incoming is None:
        at = line_log.begin_anew(log)
    elif launch.printed and not line_log.segments(log):
        at = line_log.begin_with(launch.printed, log)
    else:
        at = line_log.go_on(log)
    return line_log.Kept(log, at, launch.log_size)

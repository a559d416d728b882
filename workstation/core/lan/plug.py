"""Cables: into a private network, and into what is set up on this computer."""

import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import workstation
from workstation.errors import HostError
from workstation.model.machine import Definition
from workstation.paths import Paths

ANSWER_SECONDS = 5.0
"""How long somebody who calls the hub waits for it."""


def cables(paths: Paths, definition: Definition, held: ExitStack) -> dict[str, int]:
    """A descriptor for each of the machine's networks that QEMU does not make itself."""
    found = {}
    for number, network in enumerate(definition.profile.networks):
        name = network.name or ""
        if network.mode == "private":
            end = plug_in(paths, name, definition.profile.name, f"net{number}")
            found[f"net{number}"] = held.enter_context(end).fileno()
        elif network.mode in ("tap", "bridge"):
            tap = open_tap(name) if network.mode == "tap" else open_bridge(name)
            held.callback(os.close, tap)
            found[f"net{number}"] = tap
    return found


_PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from workstation.core.lan.hub import main
main()
"""
"""Isolated from what the environment says of Python, and without site-packages."""


_KEEPER = """
exec 3<&0
{ n=0; until "$@" <&3; do n=$((n + 1)); [ "$n" -lt 100 ] || exit; sleep 0.1; done; } &
"""


def plug_in(paths: Paths, network: str, machine: str, cable: str) -> socket.socket:
    """A machine's end of a cable, to which the network's hub comes: at once, and again whenever
    a hub was killed. The hub is started where none is there."""
    place = paths.network_end(network, machine, cable)
    place.parent.mkdir(mode=0o700, exist_ok=True)
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound = paths.machine(machine).cable(cable)
        bound.parent.mkdir(mode=0o700, exist_ok=True)
        bound.unlink(missing_ok=True)
        end.bind(str(bound))
        bound.chmod(0o600)
        end.listen(1)
        with _locked(paths.network_lock(network)):
            bound.rename(place)  # whoever sees it there can connect
            _call(paths, network)
    except BaseException:
        end.close()
        raise
    return end


def mend(paths: Paths, network: str) -> None:
    """A machine was unplugged: a hub that is gone is started anew, and finds its machines."""
    with _locked(paths.network_lock(network)):
        _call(paths, network)


def _call(paths: Paths, network: str) -> None:
    """The hub looks who waits for it; the lock is held."""
    place = paths.network(network)
    if not _answered(place):
        _with_new_hub(paths, network, place)


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _answered(place: Path) -> bool:
    """Whether a hub has looked, or will: one that is being killed still takes calls, which break
    off with it. One that is busy, or is started again by its keeper, finds the call later."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(ANSWER_SECONDS)
        try:
            caller.connect(str(place))
            caller.recv(1)
        except TimeoutError:
            return True
        except OSError:
            return False
    return True


def _with_new_hub(paths: Paths, network: str, place: Path) -> None:
    """It looks by itself when it begins."""
    place.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(place))
        place.chmod(0o600)
        listener.listen(16)
        _start_hub(listener, network, place, paths.network_lock(network))


def _start_hub(listener: socket.socket, network: str, place: Path, lock: Path) -> None:
    program = _PROGRAM.format(root=str(Path(workstation.__file__).parent.parent))
    # In the background of a shell that ends at once: nobody has to reap it. One that stays starts
    # it again where it was killed, with the same socket.
    subprocess.run(
        ["/bin/sh", "-c", _KEEPER, "hub",
         sys.executable, "-I", "-S", "-c", program, network, str(place), str(lock)],
        stdin=listener.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd="/", start_new_session=True, check=True,
    )  # fmt: skip


# -- taps ---------------------------------------------------------------------------

_TUNSETIFF = 0x400454CA
_TAP, _NO_HEADER, _VNET_HEADER = 0x0002, 0x1000, 0x4000


def open_tap(name: str) -> int:
    """A descriptor of a tap device that somebody with the right to has made for this user."""
    if name not in {known for _, known in socket.if_nameindex()}:
        user = os.environ.get("USER", str(os.getuid()))
        raise HostError(
            f"there is no tap device “{name}” on this computer",
            hint=f"as root: ip tuntap add {name} mode tap user {user} && ip link set {name} up",
        )
    try:
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise HostError(f"/dev/net/tun: {error.strerror}", hint="as root: modprobe tun") from error
    try:
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _flags()))
    except OSError as error:
        os.close(tap)
        busy = "another program uses it" if error.errno == 16 else str(error.strerror)
        raise HostError(
            f"the tap device “{name}” cannot be opened: {busy}",
            hint=f"ip tuntap show says whose {name} is; each machine needs one of its own",
        ) from error
    return tap


def _flags() -> int:
    return _TAP | _NO_HEADER | _VNET_HEADER


_HELPERS = (
    "/usr/lib/qemu/qemu-bridge-helper",
    "/usr/libexec/qemu-bridge-helper",
    "/usr/lib/qemu-bridge-helper",
)


def open_bridge(name: str) -> int:
    """A tap on a bridge of this computer, as QEMU's setuid program for that hands it over.

    It is run here and not by QEMU, whose sandbox lets it start nothing and gain no rights.
    """
    if not Path("/sys/class/net", name, "bridge").exists():
        raise HostError(
            f"there is no bridge “{name}” on this computer",
            hint=f"as root: ip link add {name} type bridge && ip link set {name} up",
        )
    program = next((path for path in _HELPERS if os.access(path, os.X_OK)), "")
    if not program:
        raise HostError("qemu-bridge-helper is not installed", hint="it comes with QEMU's package")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [program, f"--br={name}", f"--fd={theirs.fileno()}", "--use-vnet"],
            pass_fds=(theirs.fileno(),), capture_output=True, timeout=20, check=False,
        )  # fmt: skip
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip()[-300:]
            raise HostError(
                f"the bridge “{name}” lets nobody in: {words}",
                hint=f"as root: write “allow {name}” into /etc/qemu/bridge.conf, and"
                f" chmod u+s {program}",
            )
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    os.set_blocking(descriptors[0], False)
    return descriptors[0]

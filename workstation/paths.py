"""Every name that the program uses on disk, spelled once (a few of them in roots.py).

    $XDG_DATA_HOME/workstation/machines/NAME/    what must last
        machine.yaml      the machine: its identity and its resolved profile
        history.json      which head it has, what that stands on, its names for layers
        heads/ID/         one writable qcow2 overlay a drive
        alarm             what is wrong with the bundle that it stands on, where something is
        pending.json      a move of layers that is under way, for whoever finds it cut off
        boot/             kernel and initrd, pinned at creation
        seed/             what sets its system up, until its first boot has finished
        ssh/              its host keys as they are known here, and a key made for it
        tpm/              the TPM's state
        lock              the machine's lock; says who holds it
        run.json          how QEMU was last started (written before it is)
        process           pid and start time of the witness and of QEMU (written by the witness)
        exit              QEMU's exit status (written by the witness)
        qemu.log          QEMU's own words
        serial/           what the guest printed on its serial line (qemu/line_log.py)
    $XDG_DATA_HOME/workstation/layers/ID/        frozen layers (core/layers/store.py)
    $XDG_DATA_HOME/workstation/ssh_config        for ssh's Include: the machines as its hosts
    $XDG_DATA_HOME/workstation/bundles/ID.json   where a bundle lies that is used in place
    $XDG_DATA_HOME/workstation/making, trash     machines half made, half deleted: never listed
    $XDG_DATA_HOME/workstation/ballast           room to delete something on a full disk
    $XDG_CONFIG_HOME/workstation/                settings.yaml, profiles/
    $XDG_CACHE_HOME/workstation/                 images/, host.json, index.json, fault.txt
    $XDG_RUNTIME_DIR/workstation/NAME/           sockets and their locks, mode 0700
    $XDG_RUNTIME_DIR/workstation/.net/           the hubs of private networks
    $XDG_RUNTIME_DIR/workstation/.keys/          keys of encrypted bundles, until the log-out

What is quick to start takes roots.py instead: loading `pathlib` takes long.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from workstation.errors import HostError, UsageError
from workstation.roots import INDEX, LOCK, MACHINE_FILE, MACHINES, Roots

SOCKET_PATH_BYTES = 107
"""Longest path of a unix socket: `sun_path` has 108 bytes with its final NUL (unix(7))."""

MONITORS = 6
"""Monitor sockets a machine gets: that many front-ends can watch it at once."""

_LONGEST_SOCKET = f"monitor{MONITORS - 1}.sock"


class MachinePaths:
    """The places that belong to one machine; nothing here need exist."""

    def __init__(self, data: Path, runtime: Path) -> None:
        self.data = data
        self.runtime = runtime
        self.file = data / MACHINE_FILE
        self.history = data / "history.json"
        self.pending = data / "pending.json"
        self.alarm = data / "alarm"
        self.heads = data / "heads"
        self.boot = data / "boot"
        self.lock = data / LOCK
        self.run = data / "run.json"
        self.process = data / "process"
        self.exit = data / "exit"
        self.qemu_log = data / "qemu.log"
        self.serial_log = data / "serial"
        self.serial = runtime / "serial.sock"
        self.serial_lock = runtime / "serial.lock"
        self.agent = runtime / "agent.sock"
        self.agent_lock = runtime / "agent.lock"
        self.vnc = runtime / "vnc.sock"
        self.gdb = runtime / "gdb.sock"
        self.seed = data / "seed"
        self.ssh = data / "ssh"
        self.tpm_state = data / "tpm"
        self.tpm_log = data / "tpm.log"
        self.kernel = self.boot / "vmlinuz"
        self.initrd = self.boot / "initrd"

    @property
    def name(self) -> str:
        return self.data.name

    def monitor(self, number: int) -> Path:
        return self.runtime / f"monitor{number}.sock"

    def monitor_lock(self, number: int) -> Path:
        return self.runtime / f"monitor{number}.lock"

    def head(self, head: str) -> Path:
        """The directory of that head."""
        return self.heads / head

    def overlay(self, head: str, drive: str) -> Path:
        """The overlay of the drive in that head; `drive` is its id, or `nvram`."""
        return self.heads / head / f"{drive}.qcow2"

    def share_socket(self, share: str) -> Path:
        """Where QEMU and the virtiofsd of the share with that id meet."""
        return self.runtime / f"{share}.sock"

    def cable(self, network: str) -> Path:
        """One end of the cable of a network that QEMU waits at."""
        return self.runtime / f"{network}.sock"


class Paths:
    """The four roots, and what lies directly in them."""

    def __init__(self, data: Path, config: Path, cache: Path, runtime: Path) -> None:
        self.data = data
        self.config = config
        self.cache = cache
        self.runtime = runtime
        self.machines = data / MACHINES
        self.layers = data / "layers"
        self.store_lock = data / "layers.lock"
        self.bundles = data / "bundles"
        self.keys = runtime / ".keys"
        self.ssh_config = data / "ssh_config"
        self.making = data / "making"
        self.trash = data / "trash"
        self.ballast = data / "ballast"
        self.settings = config / "settings.yaml"
        self.profiles = config / "profiles"
        self.images = cache / "images"
        self.host_cache = cache / "host.json"
        self.index = cache / INDEX
        self.fault = cache / "fault.txt"
        self._of_machines: dict[str, MachinePaths] = {}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Paths":
        """The roots after the XDG base directory specification (roots.py)."""
        return cls.at(Roots(environ))

    @classmethod
    def at(cls, roots: Roots) -> "Paths":
        return cls(Path(roots.data), Path(roots.config), Path(roots.cache), Path(roots.runtime))

    def machine(self, name: str) -> MachinePaths:
        found = self._of_machines.get(name)
        if not found:
            found = MachinePaths(self.machines / name, self.runtime / name)
            self._of_machines[name] = found
        return found

    def image(self, name: str) -> Path:
        return self.images / name

    def network(self, name: str) -> Path:
        """Where a private network's hub is called: no machine's name begins with a dot."""
        return self.runtime / ".net" / f"{name}.sock"

    def network_end(self, name: str, machine: str, cable: str) -> Path:
        """Where that machine waits for the hub; no network's name has an `@`."""
        return self.runtime / ".net" / f"{name}@{machine}@{cable}"

    def network_lock(self, name: str) -> Path:
        return self.network(name).with_suffix(".lock")

    def prepare(self) -> None:
        """Make the roots, private to this user; raise HostError where one is somebody else's."""
        for root in (self.data, self.config, self.cache, self.runtime):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Below /tmp somebody else may have been first: a link or a directory of theirs.
        status = self.runtime.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise HostError(
                f"{self.runtime}, the directory for sockets, is not a directory of yours",
                hint="set XDG_RUNTIME_DIR to a directory of your own",
            )
        if stat.S_IMODE(status.st_mode) & 0o077:
            self.runtime.chmod(0o700)
        self.machines.mkdir(mode=0o700, exist_ok=True)

    def check_socket_paths(self, name: str) -> None:
        """Raise UsageError if a machine of that name could not have its sockets."""
        longest = os.fsencode(self.runtime / name / _LONGEST_SOCKET)
        excess = len(longest) - SOCKET_PATH_BYTES
        if excess > 0:
            raise UsageError(
                f"the name “{name}” is {excess} bytes too long: its sockets' paths may have"
                f" {SOCKET_PATH_BYTES} bytes",
                hint="choose a shorter name, or set XDG_RUNTIME_DIR to a shorter path",
            )


def shipped(kind: str) -> Path:
    """The directory of what travels with the program: `profiles` or `images`."""
    package = Path(__file__).parent
    inside = package / "shipped" / kind
    return inside if inside.is_dir() else package.parent / kind

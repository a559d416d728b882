"""What is known of the host: facts that a command line needs, and findings for a person."""

from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Works, but not as well as it could."""
    PROBLEM = "problem"
    """Something that a person wants will not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `workstation doctor`."""

    subject: str
    """`QEMU`, `KVM`, `UEFI`…"""
    level: Level
    text: str
    mend: str = ""
    """What to do about it; empty where there is nothing to mend."""


@dataclass(frozen=True, slots=True)
class FirmwareFiles:
    """One UEFI build, as its JSON descriptor (QEMU's docs/interop/firmware.json) gives it."""

    code: str
    """Path of the read-only executable."""
    variables: str
    """Path of the variable store's template."""
    secure: bool
    """Secure Boot with keys enrolled, which needs SMM."""
    code_format: str = "raw"
    variables_format: str = "raw"
    machines: tuple[str, ...] = ("pc-q35-*", "pc-i440fx-*")
    """Patterns of the machine types that it is made for."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What building a command line needs to know. Paths are absolute; empty where missing."""

    qemu: str = ""
    """Path of qemu-system-x86_64."""
    qemu_version: tuple[int, int, int] = (0, 0, 0)
    """(0, 0, 0) where it is missing or does not run."""
    qemu_img: str = ""
    qemu_img_version: tuple[int, int, int] = (0, 0, 0)
    machine_types: dict[str, str] = field(default_factory=dict)
    """Every type this QEMU knows to its versioned name: `q35` and `pc-q35-7.2` to `pc-q35-7.2`."""
    cpu_models: frozenset[str] = frozenset()
    qemu_knows: frozenset[str] = frozenset()
    """Words of QMP that not every QEMU knows (`qemu/build.py` says which)."""
    kvm: bool = False
    """KVM can really run a guest here."""
    kvm_reason: str = ""
    """Why not, in a person's words."""
    kvm_mend: str = ""
    """What to do about it."""
    user_network: bool = True
    """QEMU was built with user-mode networking (some distributions leave it out)."""
    firmware: tuple[FirmwareFiles, ...] = ()
    swtpm: str = ""
    virtiofsd: str = ""
    passt: str = ""
    audio: str = "none"
    """QEMU's audio driver that works here: `pa`, `pipewire`, or `none`."""
    cpus: int = 1
    cpu_flags: frozenset[str] = frozenset()
    """What the CPU can do, as Linux calls it."""
    memory: int = 0
    """Bytes in all."""

"""All that one start of QEMU needs, and how its devices are written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workstation.model.host import FirmwareFiles, HostFacts
from workstation.model.machine import Definition
from workstation.model.profile import Accelerator, Forward, Profile
from workstation.paths import MachinePaths
from workstation.qemu.blockdev import DiskFile
from workstation.qemu.options import as_json


@dataclass(frozen=True, slots=True)
class Launch:
    """All that one start of a machine needs beyond its definition."""

    paths: MachinePaths
    definition: Definition
    facts: HostFacts
    accelerator: Accelerator
    """KVM or TCG."""
    drives: tuple[tuple[DiskFile, ...], ...] = ()
    """A chain per drive of the profile, from the head to the base."""
    discs: tuple[Path | None, ...] = ()
    """A file per CD drive of the profile; None is an empty drive."""
    kernel: Path | None = None
    initrd: Path | None = None
    ignition: Path | None = None
    """What Ignition in the guest sets its system up by."""
    firmware: FirmwareFiles | None = None
    nvram: tuple[DiskFile, ...] = ()
    """The UEFI variables' chain, with `firmware`."""
    forwards: tuple[tuple[Forward, ...], ...] = ()
    """Per network of the profile, with the host ports that are really free."""
    shares: tuple[Path, ...] = ()
    """The directory of each share of the profile, resolved."""
    helpers: Mapping[str, int] = field(default_factory=dict)
    """Descriptors that helper processes get: `tpm`, and `leash`, whose other end QEMU holds."""
    listeners: Mapping[str, int] = field(default_factory=dict)
    """Descriptors of sockets that listen already: `monitor0`…, `serial`, `agent`; with a TPM, of a
    socket that is connected to it: `tpm`."""
    secrets: Mapping[str, int] = field(default_factory=dict)
    """Descriptors that give what opens encrypted disks, by the names that those say."""
    printed: Path | None = None
    """What the guest whose memory it goes on from had said, for a log that is still empty."""
    log_size: int = 2**22
    """Bytes of what the guest prints on a line that are kept at least."""
    incoming: int | None = None
    """Descriptor of the memory to go on from; QEMU then waits for `cont`."""

    @property
    def profile(self) -> Profile:
        return self.definition.profile.with_usb_ports

    @property
    def microvm(self) -> bool:
        return self.profile.machine.type == "microvm"


def device(driver: str, **properties: object) -> tuple[str, str]:
    """Properties that are None are left to QEMU."""
    given = {key: value for key, value in properties.items() if value is not None}
    return "-device", as_json({"driver": driver, **given})


def boot_index(profile: Profile, kind: str, number: int) -> int | None:
    """Place in the boot order, from 0; None leaves the device out of it."""
    if profile.boot.kernel:
        return None  # the kernel takes the first place, and there is no second
    order = profile.boot.order or ("disk", "cdrom")
    return order.index(kind) * 20 + number if kind in order else None

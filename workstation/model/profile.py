"""What a person says of a VM: the profile, as frozen values.

One class a section of the YAML; `extra="forbid"` makes an unknown key an error.
`docs/profiles.md` says what each key becomes in QEMU.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    Field,
    StringConstraints,
    field_validator,
)

from workstation.model.misfit import Misfit, repeated
from workstation.model.network import Forward as Forward
from workstation.model.network import Network as Network
from workstation.model.network import Nic as Nic
from workstation.model.provision import Answers, Provision
from workstation.model.scalars import (
    MACHINE_PATTERN,
    Flag,
    ImageRef,
    Line,
    Name,
    Tag,
    in_words,
)
from workstation.model.scalars import NAME_PATTERN as NAME_PATTERN
from workstation.model.scalars import Size as Size
from workstation.model.section import Section as Section
from workstation.model.usb import PORTS, UsbText, in_ports, kind_of, port_of

MOST_CPUS = 255
"""More need an interrupt controller that older guests do not know (x2APIC)."""

MOST_SLOTS = 8
"""Each is a PCI Express port; firmware reserves addresses for each."""


class Family(StrEnum):
    LINUX = "linux"
    WINDOWS = "windows"
    BSD = "bsd"
    OTHER = "other"


class Accelerator(StrEnum):
    AUTO = "auto"
    KVM = "kvm"
    TCG = "tcg"


class Firmware(StrEnum):
    BIOS = "bios"
    UEFI = "uefi"
    UEFI_SECURE = "uefi-secure"


class Cpu(Section):
    model: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,60}$"),
        in_words("portable, host, max, or a model that “qemu-system-x86_64 -cpu help” lists"),
    ] = "portable"
    """`portable` (resumes on other laptops), `host`, `max`, or a CPU model QEMU knows."""
    sockets: Annotated[int, Field(ge=1, le=16, strict=True)] = 1
    """Processor packages that the guest sees."""
    cores: Annotated[int, Field(ge=1, le=256, strict=True)] = 1
    """Cores in each socket."""
    threads: Annotated[int, Field(ge=1, le=8, strict=True)] = 1
    """Threads of each core; CPUs in all are sockets x cores x threads."""
    most: Annotated[int, Field(ge=1, le=MOST_CPUS, strict=True)] | None = None
    """Cores that there may be in all: up to that, `cores` can be raised while it runs."""

    @property
    def count(self) -> int:
        """Virtual CPUs in all."""
        return self.sockets * self.cores * self.threads

    def misfits(self) -> Iterator[Misfit]:
        if self.most is None:
            return
        if self.sockets != 1 or self.threads != 1:
            what = "CPUs are added core by core: with most there is one socket, and one thread each"
            yield Misfit(what, "most", ("sockets", "threads"))
        elif self.cores > self.most:
            yield Misfit(f"{self.cores} cores are more than most allows", "most", ("cores",))


class Boot(Section):
    firmware: Firmware = Firmware.BIOS
    """`bios`, `uefi`, or `uefi-secure`: UEFI with Secure Boot on and its keys enrolled."""
    order: Annotated[tuple[Literal["disk", "cdrom", "network"], ...], Field(max_length=3)] = ()
    """Devices to try, in this order; empty is the disk, then the CD."""
    menu: Flag = False
    """Offer the firmware's boot menu."""
    kernel: ImageRef | None = None
    """Boot this kernel directly, without a boot loader."""
    initrd: ImageRef | None = None
    """The initial RAM disk of that kernel."""
    command_line: Annotated[
        str,
        StringConstraints(max_length=2000, pattern=r"^[^\x00-\x1f\x7f]*$"),
        in_words("one line of at most 2000 characters"),
    ] = ""
    """The command line of that kernel."""

    def misfits(self) -> Iterator[Misfit]:
        for key in ("initrd", "command_line"):
            if getattr(self, key) and self.kernel is None:
                yield Misfit(f"{key} needs a kernel: boot.kernel is missing", key, ("kernel",))


class Bus(StrEnum):
    VIRTIO = "virtio"
    SCSI = "scsi"
    SATA = "sata"
    IDE = "ide"
    NVME = "nvme"


class Cache(StrEnum):
    WRITEBACK = "writeback"
    NONE = "none"
    WRITETHROUGH = "writethrough"
    UNSAFE = "unsafe"


class Drive(Section):
    size: Size | None = None
    """Virtual size; a drive on an image may be larger than the image, never smaller."""
    image: ImageRef | None = None
    """The drive starts as this image; without one it is blank."""
    bus: Bus = Bus.VIRTIO
    """How the guest sees it; `virtio` is fastest, Windows has a driver for `sata`."""
    cache: Cache = Cache.WRITEBACK
    """What the host keeps: `none` passes its page cache by, `unsafe` ignores flushes."""
    discard: Flag = True
    """Give freed blocks back to the host."""
    slot: Annotated[int, Field(ge=0, lt=MOST_SLOTS, strict=True)] | None = None
    """The hot-plug slot that it sits in; chosen when it is added while the machine runs."""

    def misfits(self) -> Iterator[Misfit]:
        if self.size is None and self.image is None:
            yield Misfit("a drive needs a size, an image, or both", "", ("size", "image"))
        if self.size is not None and not 2**20 <= self.size <= 2**46:
            yield Misfit("a drive has between 1 MiB and 64 TiB", "size")
        if self.slot is not None and self.bus is not Bus.VIRTIO:
            yield Misfit("only a virtio drive sits in a slot", "slot", ("bus",))


class Cdrom(Section):
    image: ImageRef | None = None
    """The disc; without one the drive is empty."""


class Share(Section):
    path: Annotated[
        str,
        StringConstraints(pattern=r"^(/|~/)[^\x00-\x1f\x7f]*$"),
        in_words("a directory’s absolute path, or one that begins with ~/"),
    ]
    """A directory of the host: absolute, or below ~/."""
    tag: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,30}$"),
        in_words("1 to 30 letters, digits, “_” and “-”"),
    ]
    """The name by which the guest mounts it."""
    mode: Literal["auto", "9p", "virtiofs"] = "auto"
    """`9p` needs nothing more; `virtiofs` is faster and needs virtiofsd; `auto` is `virtiofs`
    where that works when the machine is made, and `9p` elsewhere."""
    writable: Flag = False
    """Whether the guest may change what is in it."""


class Display(Section):
    adapter: Literal["none", "std", "virtio"] = "std"
    """`std` works everywhere, `virtio` is for guests that have its driver."""
    width: Annotated[int, Field(ge=640, le=7680, strict=True)] = 1280
    """Pixels that the guest is offered."""
    height: Annotated[int, Field(ge=480, le=4320, strict=True)] = 800
    """Pixels that the guest is offered."""


class Devices(Section):
    serial: Flag = True
    """A serial line: the text console."""
    keyboard: Literal["auto", "us", "gb", "de", "fr"] = "auto"
    """The layout that the guest has set, so that text is typed right on its screen; `auto` is
    the one in the settings."""
    console: Literal["serial", "virtio"] = "serial"
    """What that line is to the guest: `serial`, a 16550 (ttyS0); `virtio`, faster (hvc0)."""
    usb_tablet: Flag = True
    """An absolute pointer, so that the mouse need not be grabbed."""
    sound: Literal["none", "hda"] = "none"
    """`hda`: Intel HD Audio."""
    rng: Flag = True
    """Random numbers of the host for the guest."""
    tpm: Flag = False
    """A TPM 2.0, emulated by swtpm."""
    agent: Flag = True
    """The channel that qemu-guest-agent listens on."""
    balloon: Flag = True
    """Lets the guest give memory back that it does not use."""
    panic: Flag = True
    """pvpanic: the guest can say that it has crashed."""


class Machine(Section):
    type: Annotated[
        str,
        StringConstraints(pattern=MACHINE_PATTERN),
        in_words("q35, pc, microvm, or a version such as “pc-q35-7.2”"),
    ] = "q35"
    """`q35`, `pc` or `microvm`; pinned to a version when the machine is made."""
    accelerator: Accelerator = Accelerator.AUTO
    """`auto` takes KVM where it works; `tcg` emulates, slowly but alike everywhere."""
    hyperv: Flag = False
    """Hyper-V enlightenments: Windows runs better with them."""
    gdb: Flag = False
    """A gdb stub on a unix socket, for kernel work."""
    slots: Annotated[int, Field(ge=0, le=MOST_SLOTS, strict=True)] = 4
    """Free slots, into which disks can be plugged while it runs."""

    @property
    def chipset(self) -> Literal["pc", "q35", "microvm"]:
        if self.type == "microvm":
            return "microvm"
        return "q35" if "q35" in self.type else "pc"


class Clock(StrEnum):
    UTC = "utc"
    LOCALTIME = "localtime"


class Profile(Section):
    """A VM, described."""

    name: Name
    """By which it is listed; in a file of its own, the same as the file."""
    description: Line = ""
    """What it is for, in one line."""
    family: Family = Family.LINUX
    """What kind of system the guest is."""
    tags: Annotated[tuple[Tag, ...], Field(max_length=20)] = ()
    """Words to filter the list by."""
    notes: Annotated[str, StringConstraints(max_length=10_000)] = ""
    """Whatever a person should know: how to log in, what to try."""
    machine: Machine = Machine()
    """The board, and what runs it."""
    cpu: Cpu = Cpu()
    """Virtual CPUs."""
    memory: Size = 2**30
    """Memory of the guest."""
    boot: Boot = Boot()
    """What it starts from."""
    drives: Annotated[tuple[Drive, ...], Field(max_length=16)] = ()
    """Disks, in the order in which the guest finds them."""
    cdroms: Annotated[tuple[Cdrom, ...], Field(max_length=4)] = ()
    """CD drives."""
    networks: Annotated[tuple[Network, ...], Field(max_length=8)] = (Network(),)
    """Network adapters; one behind the host where the key is missing."""
    shares: Annotated[tuple[Share, ...], Field(max_length=8)] = ()
    """Directories of this computer that the guest can mount."""
    usb: Annotated[tuple[UsbText, ...], Field(max_length=PORTS)] = ()
    """USB devices of this computer that the guest gets: `VENDOR:PRODUCT`."""
    display: Display = Display()
    """The screen."""
    devices: Devices = Devices()
    """Everything else that is plugged in."""
    clock: Clock = Clock.UTC
    """What the hardware clock shows; Windows expects `localtime`."""
    ready: Line = ""
    """Text that the guest prints on its serial line when it is ready to be worked with."""
    provision: Provision = Provision()
    """How its system is set up when it boots for the first time."""

    @field_validator("memory")
    @classmethod
    def _enough(cls, memory: int) -> int:
        if not 2**22 <= memory <= 2**43:
            raise ValueError("a machine has between 4 MiB and 8 TiB of memory")
        if memory % 2**20:
            raise ValueError("memory comes in whole MiB")
        return memory

    @property
    def room_for_disc(self) -> bool:
        """Whether it could have one more CD drive."""
        sata = [drive.bus for drive in self.drives].count(Bus.SATA)
        return len(self.cdroms) < 4 and sata + len(self.cdroms) < 6

    @property
    def with_usb_ports(self) -> "Profile":
        """Each USB device in a port of its own, as QEMU is to be started with them."""
        if all(map(port_of, self.usb)):
            return self
        return self.model_copy(update={"usb": in_ports(self.usb, tablet=self.devices.usb_tablet)})

    def misfits(self) -> Iterator[Misfit]:
        yield from self._boot_misfits()
        yield from self._cpu_misfits()
        yield from self._drive_misfits()
        yield from self._provision_misfits()
        yield from repeated((f"shares[{n}].tag", share.tag) for n, share in enumerate(self.shares))
        yield from repeated(
            (f"networks[{n}].mac", network.mac)
            for n, network in enumerate(self.networks)
            if network.mac
        )
        yield from repeated(
            (f"networks[{n}].forwards[{m}]", f"host port {host}/{forward.protocol}")
            for n, network in enumerate(self.networks)
            for m, forward in enumerate(network.forwards)
            for host, _ in forward.pairs()
        )
        yield from self._usb_misfits()

    def _boot_misfits(self) -> Iterator[Misfit]:
        chipset, firmware = self.machine.chipset, self.boot.firmware
        if chipset == "microvm" and self.boot.kernel is None:
            what = "a microvm boots a kernel directly: boot.kernel is missing"
            yield Misfit(what, "machine.type", ("boot.kernel",))
        if chipset == "microvm" and firmware is not Firmware.BIOS:
            what = "a microvm has no UEFI: boot.firmware must be bios"
            yield Misfit(what, "boot.firmware", ("machine.type",))
        elif firmware is Firmware.UEFI_SECURE and chipset != "q35":
            yield Misfit("Secure Boot needs machine.type q35", "boot.firmware", ("machine.type",))

    def _cpu_misfits(self) -> Iterator[Misfit]:
        if self.cpu.count > MOST_CPUS:
            what = f"{self.cpu.count} virtual CPUs (sockets x cores x threads); at most {MOST_CPUS}"
            yield Misfit(what, "cpu")
        if self.cpu.model == "host" and self.machine.accelerator is Accelerator.TCG:
            what = "the CPU model host needs KVM: write portable or max, or another accelerator"
            yield Misfit(what, "cpu.model", ("machine.accelerator",))

    def _drive_misfits(self) -> Iterator[Misfit]:
        buses = [drive.bus for drive in self.drives]
        if Bus.IDE in buses and self.machine.chipset != "pc":
            what = "the ide bus needs machine.type pc: write sata or virtio"
            yield Misfit(what, f"drives[{buses.index(Bus.IDE)}].bus", ("machine.type",))
        yield from repeated(
            (f"drives[{n}].slot", f"slot {drive.slot}")
            for n, drive in enumerate(self.drives)
            if drive.slot is not None
        )
        for number, drive in enumerate(self.drives):
            if drive.slot is not None and drive.slot >= self.machine.slots:
                what = f"the machine has {self.machine.slots} slots, counted from 0"
                yield Misfit(what, f"drives[{number}].slot", ("machine.slots",))
        if buses.count(Bus.IDE) > 4:
            yield Misfit("the ide bus takes at most 4 drives", "drives")
        if buses.count(Bus.SATA) + len(self.cdroms) > 6:
            what = "the sata bus takes at most 6 drives and CD drives together"
            yield Misfit(what, "drives", ("cdroms",))

    def _usb_misfits(self) -> Iterator[Misfit]:
        yield from repeated((f"usb[{n}]", kind_of(one)) for n, one in enumerate(self.usb))
        ports = [("devices.usb_tablet", "port 1")] if self.devices.usb_tablet else []
        ports += [(f"usb[{n}]", f"port {port_of(o)}") for n, o in enumerate(self.usb) if port_of(o)]
        yield from repeated(ports)
        if len(self.usb) > PORTS - self.devices.usb_tablet:
            what = f"the USB controller has {PORTS} ports, and the tablet is in one of them"
            yield Misfit(what, "usb", ("devices.usb_tablet",))

    def _provision_misfits(self) -> Iterator[Misfit]:
        tags = {share.tag for share in self.shares}
        for number, mount in enumerate(self.provision.mounts):
            if mount.share not in tags:
                what = f"there is no share with the tag “{mount.share}”"
                yield Misfit(what, f"provision.mounts[{number}].share", ("shares",))
        answers = self.provision.answers
        if answers and answers.kind is Answers.PRESEED and not self.boot.initrd:
            what = "a preseed file is added to the installer's initrd: boot.initrd is missing"
            yield Misfit(what, "provision.answers", ("boot.initrd",))
        disc = self.provision.beyond_user and self.provision.needs_disc
        if disc and not self.room_for_disc:
            what = "its disc needs a CD drive, and there is no room for one more"
            yield Misfit(what, "provision", ("cdroms", "drives"))

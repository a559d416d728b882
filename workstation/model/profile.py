"""What a person says of a VM: the profile, as frozen values.

One class a section of the YAML; `extra="forbid"` makes an unknown key an error.
`docs/profiles.md` says what each key becomes in QEMU.
"""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from workstation.model.units import exact_size, parse_size

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,39}$"
"""Names of machines and profiles: safe as a file name, a host name and in QEMU's options."""


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("a size such as “512 MiB” or “20 GiB”")
    if isinstance(value, int):
        raise ValueError(f"a unit is missing: “{value} MiB” or “{value} GiB”")
    return parse_size(value)


Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(exact_size, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*([KMGTkmgt]i?[Bb]?|[Bb])\s*$",
         "examples": ["512 MiB", "20 GiB"]}
    ),
]  # fmt: skip
"""Bytes; written with a unit."""

Line = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line of text without control characters."""

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Mac = Annotated[str, StringConstraints(pattern=r"^[0-9a-f][26ae](:[0-9a-f]{2}){5}$")]
"""A locally administered unicast address, lower case: `52:54:00:12:34:56`."""

Tag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,30}$")]

Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseModel):
    """Base of every part of a profile."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


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
    model: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,60}$")] = "portable"
    """`portable` (resumes on other laptops), `host`, `max`, or a CPU model QEMU knows."""
    sockets: Annotated[int, Field(ge=1, le=16)] = 1
    cores: Annotated[int, Field(ge=1, le=256)] = 1
    threads: Annotated[int, Field(ge=1, le=8)] = 1

    @property
    def count(self) -> int:
        """Virtual CPUs in all."""
        return self.sockets * self.cores * self.threads


ImageRef = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9][a-z0-9._-]{0,59}(/[A-Za-z0-9._-]{1,80})?|/[^\x00-\x1f\x7f]+)$"
    ),
]
"""`IMAGE` or `IMAGE/FILE` of the image library, or an absolute path on the host."""


class Boot(Section):
    firmware: Firmware = Firmware.BIOS
    order: Annotated[tuple[Literal["disk", "cdrom", "network"], ...], Field(max_length=3)] = ()
    """Devices to try, in this order; empty leaves it to the firmware."""
    menu: bool = False
    """Offer the firmware's boot menu."""
    kernel: ImageRef | None = None
    """Boot this kernel directly, without a boot loader."""
    initrd: ImageRef | None = None
    command_line: Annotated[
        str, StringConstraints(max_length=2000, pattern=r"^[^\x00-\x1f\x7f]*$")
    ] = ""

    @model_validator(mode="after")
    def _kernel_first(self) -> Self:
        if self.kernel is None and (self.initrd or self.command_line):
            raise ValueError("initrd and command_line need a kernel")
        return self


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
    cache: Cache = Cache.WRITEBACK
    discard: bool = True
    """Give freed blocks back to the host."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.size is None and self.image is None:
            raise ValueError("a drive needs a size, an image, or both")
        if self.size is not None and not 2**20 <= self.size <= 2**46:
            raise ValueError("a drive has between 1 MiB and 64 TiB")
        return self


class Cdrom(Section):
    image: ImageRef | None = None
    """The disc; without one the drive is empty."""


class Forward(Section):
    """A port of the host that leads into the guest."""

    host: Port
    guest: Port
    protocol: Literal["tcp", "udp"] = "tcp"
    address: Literal["127.0.0.1", "0.0.0.0"] = "127.0.0.1"  # noqa: S104 (a choice, not a default)
    """127.0.0.1 (this computer only) or 0.0.0.0 (everybody who can reach it)."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"(?:([0-9.]+):)?(\d{1,5}):(\d{1,5})(?:/(tcp|udp))?", value)
        if not match:
            raise ValueError("HOST:GUEST, such as “8080:80”, “5353:53/udp” or “0.0.0.0:8080:80”")
        parts = {
            "address": match[1],
            "host": int(match[2]),
            "guest": int(match[3]),
            "protocol": match[4],
        }
        return {key: part for key, part in parts.items() if part is not None}

    def __str__(self) -> str:
        address = "" if self.address == "127.0.0.1" else f"{self.address}:"
        protocol = "" if self.protocol == "tcp" else f"/{self.protocol}"
        return f"{address}{self.host}:{self.guest}{protocol}"


ForwardText = Annotated[
    Forward,
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["8080:80", "2222:22", "5353:53/udp"]}),
]


class Nic(StrEnum):
    VIRTIO = "virtio"
    E1000E = "e1000e"
    E1000 = "e1000"
    RTL8139 = "rtl8139"


class Network(Section):
    mode: Literal["user", "none"] = "user"
    """`user`: the guest reaches out through the host; `none`: an unplugged adapter."""
    restrict: bool = False
    """Cut the guest off from everything but its forwards."""
    model: Nic = Nic.VIRTIO
    mac: Mac | None = None
    """Pinned when the machine is made."""
    forwards: Annotated[tuple[ForwardText, ...], Field(max_length=64)] = ()

    @field_validator("forwards")
    @classmethod
    def _distinct(cls, forwards: tuple[Forward, ...]) -> tuple[Forward, ...]:
        taken: set[tuple[str, int]] = set()
        for forward in forwards:
            if (forward.protocol, forward.host) in taken:
                raise ValueError(f"host port {forward.host}/{forward.protocol} is given twice")
            taken.add((forward.protocol, forward.host))
        return forwards


class Share(Section):
    path: Annotated[str, StringConstraints(pattern=r"^(/|~/)[^\x00-\x1f\x7f]*$")]
    """A directory of the host: absolute, or below ~/."""
    tag: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,30}$")]
    """The name by which the guest mounts it."""
    mode: Literal["9p", "virtiofs"] = "9p"
    writable: bool = False


class Display(Section):
    adapter: Literal["none", "std", "virtio"] = "std"
    width: Annotated[int, Field(ge=640, le=7680)] = 1280
    height: Annotated[int, Field(ge=480, le=4320)] = 800


class Devices(Section):
    serial: bool = True
    """A serial line: the text console."""
    usb_tablet: bool = True
    """An absolute pointer, so that the mouse need not be grabbed."""
    sound: Literal["none", "hda"] = "none"
    rng: bool = True
    """Random numbers of the host for the guest."""
    tpm: bool = False
    """A TPM 2.0, emulated by swtpm."""
    agent: bool = True
    """The channel that qemu-guest-agent listens on."""
    balloon: bool = True
    panic: bool = True
    """pvpanic: the guest can say that it has crashed."""


class Machine(Section):
    type: Annotated[
        str,
        StringConstraints(pattern=r"^(pc|q35|microvm|pc-i440fx-\d+\.\d+|pc-q35-\d+\.\d+)$"),
        WithJsonSchema({"type": "string", "examples": ["q35", "pc", "microvm"],
                        "pattern": r"^(pc|q35|microvm|pc-i440fx-\d+\.\d+|pc-q35-\d+\.\d+)$"}),
    ] = "q35"  # fmt: skip
    """`q35`, `pc` or `microvm`; pinned to a version when the machine is made."""
    accelerator: Accelerator = Accelerator.AUTO
    hyperv: bool = False
    """Hyper-V enlightenments: Windows runs better with them."""
    gdb: bool = False
    """A gdb stub on a unix socket, for kernel work."""


class Clock(StrEnum):
    UTC = "utc"
    LOCALTIME = "localtime"


class Profile(Section):
    """A VM, described."""

    name: Name
    description: Line = ""
    family: Family = Family.LINUX
    tags: Annotated[tuple[Tag, ...], Field(max_length=20)] = ()
    notes: Annotated[str, StringConstraints(max_length=10_000)] = ""
    machine: Machine = Machine()
    cpu: Cpu = Cpu()
    memory: Size = 2**30
    boot: Boot = Boot()
    drives: Annotated[tuple[Drive, ...], Field(max_length=16)] = ()
    cdroms: Annotated[tuple[Cdrom, ...], Field(max_length=4)] = ()
    networks: Annotated[tuple[Network, ...], Field(max_length=8)] = (Network(),)
    shares: Annotated[tuple[Share, ...], Field(max_length=8)] = ()
    display: Display = Display()
    devices: Devices = Devices()
    clock: Clock = Clock.UTC
    ready: Line = ""
    """Text that the guest prints on its serial line when it is ready to be worked with."""

    @field_validator("memory")
    @classmethod
    def _enough(cls, memory: int) -> int:
        if not 2**22 <= memory <= 2**43:
            raise ValueError("a machine has between 4 MiB and 8 TiB of memory")
        if memory % 2**20:
            raise ValueError("memory comes in whole MiB")
        return memory

    @field_validator("shares")
    @classmethod
    def _distinct_tags(cls, shares: tuple[Share, ...]) -> tuple[Share, ...]:
        tags = [share.tag for share in shares]
        for tag in tags:
            if tags.count(tag) > 1:
                raise ValueError(f"the tag “{tag}” is given to two shares")
        return shares

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.machine.type == "microvm":
            if self.boot.kernel is None:
                raise ValueError("a microvm boots a kernel directly: boot.kernel is missing")
            if self.boot.firmware is not Firmware.BIOS:
                raise ValueError("a microvm has no UEFI: boot.firmware must be bios")
        if self.boot.firmware is Firmware.UEFI_SECURE and not self.machine.type.removeprefix(
            "pc-"
        ).startswith("q35"):
            raise ValueError("Secure Boot needs machine.type q35")
        return self

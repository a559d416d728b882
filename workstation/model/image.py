"""What a catalog says of an image: where it is, how to tell that it is whole, what works."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from workstation.model.misfit import Misfit
from workstation.model.profile import Family, Section
from workstation.model.provision import UserName
from workstation.model.scalars import Flag, Line, Name, Size, in_words

Url = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[!-~]*$", max_length=500),
    in_words("an address that begins with https:// (or http://)"),
]
Hash = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})$"),
    in_words("SHA-256, SHA-384 or SHA-512 in lower-case hexadecimal digits"),
]
Fingerprint = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9A-F]{40}$"),
    in_words("a key's fingerprint: 40 hexadecimal digits in capitals, without blanks"),
]
FileName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,150}$"),
    in_words("a file's name"),
]


class Kind(StrEnum):
    DISK = "disk"
    """A disk that boots as it is."""
    DISC = "disc"
    """A CD or DVD: an installer, or a system that runs from it."""


class Packing(StrEnum):
    NONE = "none"
    GZ = "gz"
    XZ = "xz"
    BZ2 = "bz2"
    ZST = "zst"
    ZIP = "zip"


class Checksums(Section):
    """Where its publisher says what the file must be."""

    urls: Annotated[tuple[Url, ...], Field(min_length=1, max_length=5)]
    """The published file of checksums; the first that answers is taken."""


class Signature(Section):
    """By which keys its publisher signs, and what."""

    of: Literal["list", "itself", "file"] = "list"
    """What is signed: the `list` of checksums; the list, which is a signed text `itself`; or the
    image's `file`."""
    urls: Annotated[tuple[Url, ...], Field(max_length=5)] = ()
    """The signature; none where the list is signed `itself`."""
    keys: Annotated[tuple[Fingerprint, ...], Field(min_length=1, max_length=5)]
    """The keys that count; one of them must have signed."""
    keyring: Annotated[tuple[Url, ...], Field(min_length=1, max_length=5)]
    """Where those keys are; whatever else is there does not count."""

    def misfits(self) -> Iterator[Misfit]:
        if (self.of == "itself") == bool(self.urls):
            yield Misfit("a signature has urls, unless the list is signed itself", "urls", ("of",))


class Works(Section):
    """What can be relied on in the guest."""

    bios: Flag = True
    """It boots with `boot.firmware: bios`."""
    uefi: Flag = True
    """… with `uefi`."""
    secure_boot: Flag = False
    """… with `uefi-secure`."""
    cloud_init: Flag = False
    """It reads a provisioning disc at its first boot."""
    agent: Flag = False
    """qemu-guest-agent runs in it from the start."""


class CatalogImage(Section):
    """One system's image."""

    name: Name
    """By which it is pulled, and named in profiles."""
    description: Line
    """What it is."""
    kind: Kind = Kind.DISK
    """`disk`, or `disc` for installers and live systems."""
    family: Family = Family.LINUX
    """What kind of system it is."""
    urls: Annotated[tuple[Url, ...], Field(max_length=10)] = ()
    """The file itself: the publisher's own address, then mirrors, tried in this order."""
    given: Annotated[str, Field(max_length=1000)] = ""
    """How a person gets the file where nobody may pass it on; then there are no `urls`."""
    file: FileName | None = None
    """Its name in the list of checksums, where that is not the last part of the first address; `*`
    is not understood."""
    checksums: Checksums | None = None
    """Where the publisher's list of checksums is."""
    hash: Hash | None = None
    """Its checksum itself, where there is no list."""
    signature: Signature | None = None
    """How its publisher signs it; checked where gpgv is installed."""
    unsigned: Line = ""
    """Why there is no signature to check: then https and the checksum are all there is."""
    packing: Packing = Packing.NONE
    """How the file is compressed; it is unpacked when pulled."""
    format: Literal["qcow2", "raw", "iso"] = "qcow2"
    """What it is, once unpacked."""
    download: Size
    """About as much is downloaded."""
    disk: Size | None = None
    """About as large is the disk that the guest sees."""
    login: Line = ""
    """How to log in."""
    user: UserName | None = None
    """Who logs in: a new machine of it is set up for that user, unless somebody says otherwise."""
    works: Works = Works()
    """What can be relied on in the guest."""
    profile: Name | None = None
    """The profile that suits it."""
    page: Url | None = None
    """Where a person reads about it."""

    def misfits(self) -> Iterator[Misfit]:
        if bool(self.urls) == bool(self.given):
            yield Misfit("either urls, or given: how a person gets it", "urls", ("given",))
        if self.urls and not (self.checksums or self.hash):
            yield Misfit("a download needs checksums or hash", "checksums", ("hash",))
        if self.signature and self.unsigned:
            yield Misfit("either signature, or unsigned: why not", "unsigned", ("signature",))
        if self.signature and self.signature.of != "file" and not self.checksums:
            yield Misfit("there is no list that it could be of", "signature", ("checksums",))
        if self.user and not self.works.cloud_init:
            yield Misfit("a user is made by cloud-init, which is not in it", "user", ("works",))
        if (self.kind is Kind.DISC) != (self.format == "iso"):
            yield Misfit("a disc is iso, a disk is qcow2 or raw", "format", ("kind",))

    @property
    def published_name(self) -> str:
        """Its name in the list of checksums."""
        return self.file or (self.urls[0].rpartition("/")[2] if self.urls else "")

    @property
    def kept_name(self) -> str:
        """Its file's name in the image library."""
        return f"{'disc' if self.kind is Kind.DISC else 'disk'}.{self.format}"

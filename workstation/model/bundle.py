"""A bundle: a machine, its layers and how they lie in one file. docs/bundle-format.md says it all.

What is in a manifest was written by somebody else: every field is bounded here, and nothing in it
names a file of a host.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from workstation.model.layer import TAG_PATTERN, Layer, LayerId, Tag
from workstation.model.profile import Profile, Section
from workstation.model.scalars import Flag, Line, Name

FORMAT = 1
"""The one version of the format that is written and read."""

CHUNK = 4 * 2**20
"""Bytes of a file that one digest is of; the last chunk of a file may be shorter."""

BLOCK = 512
"""Everything in a bundle begins at a multiple of this: tar's block, and a sector for QEMU."""

PART = 16
"""Frames of a compressed file that one member of the container holds."""

LARGEST_FILE = 2**46
MOST_LAYERS = 1000
MOST_FILES = 64
"""In one layer: 16 drives, the UEFI variables, memory, picture, kernel, initrd, the TPM's state."""

_RESERVED = {"layer.json", "digests.json", "origin.json", "link.json"}
"""What a store keeps beside a layer's files."""

NVRAM = "nvram"
"""The drive that holds the UEFI variables."""

_DRIVE = re.compile(r"drive[0-9]|drive1[0-5]|nvram")

FilePath = Annotated[
    str, StringConstraints(pattern=r"^(tpm/)?[a-z0-9][a-z0-9._-]{0,60}$", max_length=66)
]
"""A file's name within its layer; only the TPM's state lies in a directory."""

Digests = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})*$")]
"""SHA-256 of each chunk of a file, in hex, one after the other."""

Count = Annotated[int, Field(ge=0, le=LARGEST_FILE, strict=True)]
Place = Annotated[int, Field(ge=0, le=2**60, strict=True)]


class Content(Section):
    """What a file holds, whatever form it is kept in."""

    size: Count
    """Bytes."""
    digests: Digests

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if len(self.digests) != 64 * chunks_of(self.size):
            raise ValueError("a file has one digest for each of its chunks")
        return self

    def digest(self, chunk: int) -> bytes:
        """SHA-256 of that chunk."""
        return bytes.fromhex(self.digests[64 * chunk : 64 * chunk + 64])

    def length(self, chunk: int) -> int:
        """Bytes of that chunk."""
        return min(CHUNK, self.size - CHUNK * chunk)

    @property
    def chunks(self) -> int:
        return chunks_of(self.size)


class Frame(Section):
    """Where one chunk of a compressed or sealed file lies in the bundle."""

    offset: Place
    size: Annotated[int, Field(ge=1, le=CHUNK + 2**16, strict=True)]


class StoredFile(Content):
    """A file of a layer, and where its bytes lie in the bundle."""

    name: FilePath
    form: Literal["plain", "zstd", "sealed", "luks"] = "plain"
    """`plain`: the file as it is, at `offset`; `luks`: its sectors encrypted, there too; `zstd`:
    each chunk a frame of its own; `sealed`: each such frame encrypted."""
    offset: Place = 0
    """Of a file that lies there in one piece; a multiple of 512."""
    encrypted: Digests = ""
    """SHA-256 of each chunk of a `luks` file as it lies there, its last sector filled."""
    frames: tuple[Frame, ...] = ()
    """Of a compressed one: as many as it has chunks."""

    @model_validator(mode="after")
    def _lies_somewhere(self) -> Self:
        if self.offset % BLOCK:
            raise ValueError("a file begins at a multiple of 512")
        if len(self.frames) != (0 if self.in_one_piece else self.chunks):
            raise ValueError("a compressed file has one frame for each of its chunks")
        if len(self.encrypted) != (64 * self.chunks if self.form == "luks" else 0):
            raise ValueError("an encrypted disk has two digests for each of its chunks")
        return self

    @property
    def in_one_piece(self) -> bool:
        """Whether QEMU can read it where it lies."""
        return self.form in ("plain", "luks")

    @property
    def stored(self) -> int:
        """Bytes that it takes in the bundle."""
        if self.form == "plain":
            return self.size
        if self.form == "luks":
            return -(-self.size // BLOCK) * BLOCK
        return sum(frame.size for frame in self.frames)


class StoredLayer(Section):
    """A layer, and the files that it has in the bundle."""

    layer: Layer
    made_of: LayerId | None = None
    """The layer that this is a packed copy of, in the library that it was exported from."""
    files: Annotated[tuple[StoredFile, ...], Field(max_length=MOST_FILES)] = ()

    @model_validator(mode="after")
    def _has_what_it_names(self) -> Self:
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError("two files of a layer have the same name")
        if reserved := set(names) & _RESERVED:
            raise ValueError(f"a layer's file cannot be called {', '.join(reserved)}")
        if missing := set(named_files(self.layer)) - set(names):
            raise ValueError(f"files of the layer are missing: {', '.join(sorted(missing))}")
        if unknown := [drive for drive in self.layer.drives if not _DRIVE.fullmatch(drive)]:
            raise ValueError(f"there can be no drives {unknown}")
        return self

    def file(self, name: str) -> StoredFile | None:
        return next((file for file in self.files if file.name == name), None)

    def contents(self) -> dict[str, Content]:
        """What each of its files holds, by its name."""
        return {file.name: Content(size=file.size, digests=file.digests) for file in self.files}


class NeededLayer(Section):
    """A layer that is not in the bundle: whoever opens it must have it already."""

    id: LayerId
    files: dict[FilePath, Content] = Field(default_factory=dict)


class CarriedMachine(Section):
    """The machine, as it is to be on the other side."""

    name: Name
    uuid: UUID
    created: datetime
    based_on: Line = ""
    profile: Profile
    top: LayerId
    """The layer that its head stands on."""
    resume: Flag = False
    """Whether it goes on from that layer's memory."""
    snapshots: Annotated[dict[Tag, LayerId], Field(max_length=MOST_LAYERS)] = Field(
        default_factory=dict
    )
    golden: Annotated[str, StringConstraints(pattern=f"^$|{TAG_PATTERN}")] = ""


class Manifest(Section):
    """The bundle's table of contents; signed."""

    format: Literal[1] = 1
    id: LayerId
    """The bundle's own."""
    created: datetime
    program: Line = ""
    """What wrote it."""
    machine: CarriedMachine
    layers: Annotated[tuple[StoredLayer, ...], Field(max_length=MOST_LAYERS)]
    """Those below first."""
    needed: Annotated[tuple[NeededLayer, ...], Field(max_length=MOST_LAYERS)] = ()
    left_out: tuple[Line, ...] = ()
    """What the machine had of its host and could not take along, in a person's words."""

    @model_validator(mode="after")
    def _stands(self) -> Self:
        known = {one.id for one in self.needed}
        for stored in self.layers:
            layer = stored.layer
            if layer.id in known:
                raise ValueError(f"the layer {layer.id} is given twice")
            if layer.parent is not None and layer.parent not in known:
                raise ValueError(f"the layer {layer.id} stands on one that does not come before it")
            known.add(layer.id)
        machine = self.machine
        if missing := {machine.top, *machine.snapshots.values()} - known:
            raise ValueError(f"layers are missing: {', '.join(sorted(missing))}")
        if machine.golden and machine.golden not in machine.snapshots:
            raise ValueError("the golden snapshot is none of the snapshots")
        return self

    def layer(self, layer: str) -> StoredLayer | None:
        return next((one for one in self.layers if one.layer.id == layer), None)

    def files(self) -> Iterator[tuple[str, StoredFile]]:
        """Every file, with its layer's id, in the order in which they were written."""
        for one in self.layers:
            for file in one.files:
                yield one.layer.id, file


class Lock(Section):
    """The key of a bundle that is encrypted, locked by a passphrase."""

    salt: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{120}$")]


class Locator(Section):
    """Where the manifest lies."""

    offset: Place
    size: Annotated[int, Field(ge=1, le=2**26, strict=True)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Seal(Section):
    """What makes a bundle's content count: its last member."""

    format: Literal[1] = 1
    manifest: Locator
    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """The signer's public Ed25519 key."""
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]


def chunks_of(size: int) -> int:
    """How many chunks a file of that size has."""
    return -(-size // CHUNK)


def named_files(layer: Layer) -> Iterator[str]:
    """The files without which a layer would not be whole."""
    yield from (file.name for file in layer.drives.values())
    if layer.memory:
        yield layer.memory.name
    if layer.picture:
        yield layer.picture


def staying_disks(layer: Layer) -> set[str]:
    """The names of the disks that QEMU reads inside a bundle, encrypted or not.

    Not the UEFI variables: they are small, and copied where the bundle is opened.
    """
    return {file.name for drive, file in layer.drives.items() if drive != NVRAM}

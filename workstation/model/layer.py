"""Layers and heads: what a machine's disks and its memory are made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from workstation.model.profile import Profile, Section
from workstation.model.scalars import Line

LayerId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]

TAG_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"
Tag = Annotated[str, StringConstraints(pattern=TAG_PATTERN)]
"""A snapshot's name within its machine."""

CpuFlag = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")]

FileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,60}$")]


class LayerFile(Section):
    """One file of a layer; it lies in the layer's directory under its name."""

    name: FileName
    format: Literal["qcow2", "raw"] = "qcow2"


class Memory(Section):
    """The memory of a running guest, and what a QEMU must be to take it."""

    name: FileName = "memory"
    machine_type: str
    cpu_model: str
    accelerator: Literal["kvm", "tcg"]
    qemu_version: tuple[int, int, int]
    cpu_flags: Annotated[tuple[CpuFlag, ...], Field(max_length=500)] = ()
    """What the CPU could do, as Linux calls it, where the guest saw that CPU itself."""


class Layer(Section):
    """A frozen moment. Immutable: nothing of it is ever written again, or not at all."""

    id: LayerId
    parent: LayerId | None = None
    """The layer below; None at the bottom."""
    created: datetime
    note: Line = ""
    machine: str = ""
    """The machine that it was frozen from."""
    profile: Profile
    """As it was at that moment."""
    drives: dict[str, LayerFile] = Field(default_factory=dict)
    """An overlay (at the bottom: an image) by drive id; `nvram` holds the UEFI variables."""
    memory: Memory | None = None
    picture: FileName | None = None
    """A picture of the screen."""
    tpm: bool = False
    """The directory `tpm` beside the files holds the TPM's state."""


class Head(Section):
    """The writable part of a machine, and what it stands on."""

    id: LayerId
    """Its directory below the machine's `heads`."""
    layer: LayerId | None = None
    """None where it stands on nothing: blank drives."""
    resume: Literal["", "head", "layer"] = ""
    """Where the memory lies that the next start goes on from; empty for a cold boot."""
    memory: Memory | None = None
    """What the memory needs, where it lies in the head: the machine was suspended."""
    network_off: bool = False
    """Leave the network unplugged after a resume: another machine has the same addresses inside."""


class History(Section):
    """The content of `history.yaml`: a machine's head, and its names for layers."""

    head: Head
    snapshots: dict[Tag, LayerId] = Field(default_factory=dict)
    golden: Annotated[str, Field(max_length=40)] = ""
    """The snapshot that `reset-demo` goes back to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A layer in a machine's history."""

    layer: str
    parent: str | None
    tags: tuple[str, ...]
    """The machine's names for it; none for what only others stand on."""
    created: datetime
    note: str
    own: int
    """Bytes on the disk."""
    shared: bool
    """Whether another machine stands on it too."""
    memory: bool
    picture: Path | None
    golden: bool
    head: bool
    """Whether the machine's head stands right on it."""


def oldest_first(layers: Iterable[Layer]) -> list[Layer]:
    """By time; of one second, those below first."""
    found = list(layers)
    parents = {layer.id: layer.parent for layer in found}

    def age(layer: Layer) -> tuple[datetime, int]:
        depth, below = 0, layer.parent
        while below:
            depth, below = depth + 1, parents.get(below)
        return layer.created, depth

    return sorted(found, key=age)

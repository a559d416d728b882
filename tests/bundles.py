"""Bundles without QEMU: small ones, written by the product's own writer."""

import hashlib
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from workstation.core.bundle import tape
from workstation.core.bundle.writer import BundleWriter
from workstation.model.bundle import CHUNK, CarriedMachine, Manifest, StoredFile, StoredLayer
from workstation.model.layer import Layer, LayerFile
from workstation.model.profile import Profile

IDENTITY = "00000000000000b1"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def content(seed: int, size: int) -> bytes:
    """Bytes that no other seed gives."""
    return random.Random(seed).randbytes(size)


def described(name: str, data: bytes, offset: int) -> StoredFile:
    digests = "".join(
        hashlib.sha256(data[at : at + CHUNK]).hexdigest() for at in range(0, len(data), CHUNK)
    )
    return StoredFile(name=name, size=len(data), digests=digests, offset=offset)


def write_layer(writer: BundleWriter, number: int, data: bytes) -> StoredLayer:
    """A layer with one drive; it stands on the one with the number before."""
    identity = f"{number:016x}"
    offset = writer.add(tape.file_name(identity, "drive0.qcow2"), data)
    layer = Layer(
        id=identity,
        parent=f"{number - 1:016x}" if number > 1 else None,
        created=NOW,
        profile=Profile.model_validate({"name": "one", "drives": [{"size": "64 MiB"}]}),
        drives={"drive0": LayerFile(name="drive0.qcow2")},
    )
    return StoredLayer(layer=layer, files=(described("drive0.qcow2", data, offset),))


def manifest(*layers: StoredLayer) -> Manifest:
    top = layers[-1].layer
    return Manifest(
        id=IDENTITY,
        created=NOW,
        machine=CarriedMachine(
            name="one", uuid=UUID(int=1), created=NOW, profile=top.profile, top=top.id,
            snapshots={"here": top.id},
        ),
        layers=layers,
    )  # fmt: skip


def write(file: Path, *contents: bytes, key: Ed25519PrivateKey | None = None) -> Manifest:
    """A bundle of layers with that content in their drives, in one go."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        writer = BundleWriter.begin(descriptor, IDENTITY)
        layers = [write_layer(writer, n, data) for n, data in enumerate(contents, 1)]
        made = manifest(*layers)
        writer.seal(made, key or Ed25519PrivateKey.generate())
    finally:
        os.close(descriptor)
    return made

"""What makes a bundle's content count: the signed place of its manifest, as its last member."""

import hashlib
import json
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from pydantic import ValidationError

from workstation.core.bundle import tape
from workstation.errors import InvalidError
from workstation.model.bundle import BLOCK, FORMAT, Locator, Lock, Seal
from workstation.qemu import luks

ENDING = 4 * BLOCK
"""Bytes of a bundle's end: the seal's header, the seal, and the end of the tar."""

LUKS_AT = 3 * BLOCK
"""Where the container of an encrypted bundle's disks begins: behind `bundle.json`, and a header."""

DISKS_AT = LUKS_AT + luks.HEADER
"""Where the encrypted bytes of that container begin; they are all the rest of the file."""

_PURPOSE = b"workstation bundle 1\n"
"""What is signed begins with it: the signature is good for nothing else."""


class Found(NamedTuple):
    """A seal, and where it lies."""

    seal: Seal
    at: int
    """Where its header begins."""

    @property
    def end(self) -> int:
        """Where the two blocks of zeros begin, or whatever was appended later."""
        return self.at + 2 * BLOCK


def head(identity: str, lock: Lock | None = None) -> bytes:
    """The content of the first member."""
    what = {
        "format": FORMAT,
        "id": identity,
        "what": "a virtual machine; docs/bundle-format.md of workstation says how it is read",
    }
    return filled(json.dumps(what | ({"lock": lock.model_dump()} if lock else {})))


def id_of(block: bytes) -> str:
    """The id that the content of a first member says; empty for none."""
    try:
        return str(json.loads(block)["id"])
    except (ValueError, KeyError, TypeError):
        return ""


def lock_of(block: bytes) -> Lock | None:
    """What the content of a first member says of its encryption; None for a bundle without."""
    try:
        said = json.loads(block)["lock"]
    except (ValueError, KeyError, TypeError):
        return None
    try:
        return Lock.model_validate(said)
    except ValidationError as error:
        raise InvalidError("the bundle's lock cannot be read", details=str(error)) from error


def filled(text: str) -> bytes:
    """The text with spaces behind it, to exactly one block."""
    data = text.encode()
    if len(data) >= BLOCK:
        raise ValueError("that does not fit into a block")
    return data.ljust(BLOCK - 1) + b"\n"


def sign(manifest: bytes, offset: int, key: Ed25519PrivateKey) -> bytes:
    """The seal's content for a manifest that lies at that offset."""
    seal = Seal(
        manifest=Locator(
            offset=offset, size=len(manifest), sha256=hashlib.sha256(manifest).hexdigest()
        ),
        key=key.public_key().public_bytes_raw().hex(),
        signature=key.sign(_PURPOSE + manifest).hex(),
    )
    return filled(seal.model_dump_json())


def read(blocks: bytes, at: int) -> Found:
    """The seal of a header and a content that lie there; raises InvalidError where it is none."""
    member = tape.read_header(blocks[:BLOCK], at)
    if not member or member.name != tape.SEAL or member.size != BLOCK:
        raise InvalidError(f"there is no seal at byte {at}")
    content = blocks[BLOCK : 2 * BLOCK]
    try:
        seal = Seal.model_validate_json(content)
    except ValidationError as error:
        raise InvalidError("the bundle's seal cannot be read", details=str(error)) from error
    # One form only: a bit that was changed anywhere is noticed.
    if filled(seal.model_dump_json()) != content:
        raise InvalidError("the bundle's seal is not as it was written")
    return Found(seal, at)


_SLIPS = 8
"""Bytes that may differ in what was a seal: nothing that is half written comes so close to one."""


def was_one(blocks: bytes) -> bool:
    """Whether a bundle's last ENDING bytes, which are no seal, were one and have been changed.

    An addition that was cut off leaves whole blocks out there, or leaves them as they were.
    """
    header, content, end = blocks[:BLOCK], blocks[BLOCK : 2 * BLOCK], blocks[2 * BLOCK :]
    known = tape.header(tape.SEAL, BLOCK)
    slips = sum(one != other for one, other in zip(header, known, strict=True))
    begun = content.startswith(b'{"format"') or content.endswith(b"\n")
    return begun and slips <= _SLIPS and len(end) - end.count(0) <= _SLIPS


def check(seal: Seal, manifest: bytes) -> None:
    """Raise InvalidError unless this is the manifest that was signed."""
    if hashlib.sha256(manifest).hexdigest() != seal.manifest.sha256:
        raise InvalidError("the bundle's manifest is not as it was written")
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(seal.key))
        public.verify(bytes.fromhex(seal.signature), _PURPOSE + manifest)
    except (InvalidSignature, ValueError) as error:
        raise InvalidError("the bundle's signature is not good: it was changed") from error

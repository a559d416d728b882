"""LUKS as QEMU reads it: one container whose header is made here from a key, and nothing else.

The LUKS1 On-Disk Format (Fruhwirth, 1.2.3) with AES-256 in XTS mode, sectors of 512 bytes. What a
person types is made into the key elsewhere, at a price; the key is random, so the header's own
derivations may be quick, and a chain of many images opens at once.

Everything in a header follows from its key. So a reader makes the header that it expects and
compares: no field of a stranger's is ever interpreted.
"""

import hashlib
import struct
import uuid
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECTOR = 512
KEY = 32
"""Bytes of the key that all follows from."""

_STRIPES = 4000
_VOLUME_KEY = 64
_ITERATIONS = 1000
_SLOTS = 8
_SLOT_SIZE = -(-_STRIPES * _VOLUME_KEY // 4096) * 4096

HEADER = 4096 + _SLOTS * _SLOT_SIZE
"""Bytes before the encrypted ones."""

_ABOUT = struct.Struct(">6sH32s32s32sII20s32sI40s")
_SLOT = struct.Struct(">II32sII")
_IN_USE, _FREE = 0x00AC71F3, 0x0000DEAD


def secret(key: bytes) -> str:
    """What QEMU is to be given as the container's passphrase."""
    return _derived(key, "passphrase", 32).hex()


@lru_cache(maxsize=4)
def header(key: bytes) -> bytes:
    """The container's first HEADER bytes."""
    volume, salt = _derived(key, "volume", _VOLUME_KEY), _derived(key, "salt", 32)
    about = _ABOUT.pack(
        b"LUKS\xba\xbe", 1, b"aes", b"xts-plain64", b"sha256", HEADER // SECTOR, _VOLUME_KEY,
        _stretched(volume, salt, 20), salt, _ITERATIONS,
        str(uuid.UUID(bytes=_derived(key, "uuid", 16), version=4)).encode(),
    )  # fmt: skip
    slot_salt = _derived(key, "slot", 32)
    slots = [_SLOT.pack(_IN_USE, _ITERATIONS, slot_salt, _place(0), _STRIPES)]
    slots += [_SLOT.pack(_FREE, 0, bytes(32), _place(n), _STRIPES) for n in range(1, _SLOTS)]
    locked = _stretched(secret(key).encode(), slot_salt, _VOLUME_KEY)
    material = _through(locked, _split(volume, _noise(key)), 0, lock=True)
    return (about + b"".join(slots)).ljust(4096, b"\0") + material.ljust(_SLOTS * _SLOT_SIZE, b"\0")


def encrypt(key: bytes, data: bytes | memoryview, sector: int) -> bytes:
    """Whole sectors, the first of them with that number behind the header."""
    return _through(_derived(key, "volume", _VOLUME_KEY), data, sector, lock=True)


def decrypt(key: bytes, data: bytes | memoryview, sector: int) -> bytes:
    """The same the other way."""
    return _through(_derived(key, "volume", _VOLUME_KEY), data, sector, lock=False)


def _through(volume: bytes, data: bytes | memoryview, sector: int, *, lock: bool) -> bytes:
    """XTS sector by sector; each has its number as its tweak (“plain64”)."""
    cipher, view = algorithms.AES(volume), memoryview(data)
    made = bytearray(len(view) + 16)  # the library wants a block more than it writes
    target = memoryview(made)
    for at in range(0, len(view), SECTOR):
        one = Cipher(cipher, modes.XTS(sector.to_bytes(16, "little")))
        worker = one.encryptor() if lock else one.decryptor()
        worker.update_into(view[at : at + SECTOR], target[at:])
        sector += 1
    return bytes(target[: len(view)])


def _place(slot: int) -> int:
    return (4096 + slot * _SLOT_SIZE) // SECTOR


@lru_cache(maxsize=32)
def _derived(key: bytes, what: str, size: int) -> bytes:
    about = f"workstation bundle luks {what}".encode()
    return HKDF(algorithm=SHA256(), length=size, salt=None, info=about).derive(key)


def _noise(key: bytes) -> bytes:
    """All stripes but the last; it must be random to whoever has not the key, and no more."""
    cipher = Cipher(algorithms.AES(_derived(key, "noise", 32)), modes.CTR(bytes(16)))
    return cipher.encryptor().update(bytes((_STRIPES - 1) * _VOLUME_KEY))


def _stretched(what: bytes, salt: bytes, size: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", what, salt, _ITERATIONS, size)


def _split(volume: bytes, noise: bytes) -> bytes:
    """The anti-forensic splitter: the volume key needs every stripe."""
    state = 0
    for at in range(0, len(noise), _VOLUME_KEY):
        stripe = int.from_bytes(noise[at : at + _VOLUME_KEY], "big")
        state = int.from_bytes(_diffused((state ^ stripe).to_bytes(_VOLUME_KEY, "big")), "big")
    last = state ^ int.from_bytes(volume, "big")
    return noise + last.to_bytes(_VOLUME_KEY, "big")


def _diffused(block: bytes) -> bytes:
    return b"".join(
        hashlib.sha256(struct.pack(">I", number) + block[32 * number : 32 * number + 32]).digest()
        for number in range(_VOLUME_KEY // 32)
    )

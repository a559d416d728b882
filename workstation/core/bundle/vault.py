"""A bundle behind a passphrase: one random key, locked by scrypt, seals all that is in it.

Disks, which QEMU reads in place, lie in one LUKS container whose key comes from the bundle's
(qemu/luks.py). All else is sealed by AES-256-GCM with a random nonce for each piece; a key seals
far fewer than the 2^32 pieces that NIST SP 800-38D allows one. The passphrase's cost is part of
the format: 128 MiB and about half a second (RFC 7914, n = 2^17, r = 8, p = 1), whatever a file
says.
"""

import os
import secrets
import unicodedata
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from workstation.errors import InvalidError, UsageError
from workstation.model.bundle import Lock

_NONCE = 12
_TAG = 16

OVERHEAD = _NONCE + _TAG
"""Bytes that a sealed piece has more than what is in it."""

SHORTEST = 8
"""Characters of a passphrase that is taken."""


class Vault:
    """Seals and opens pieces with a bundle's key."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.disks = _part(key, "disks")
        """The key of the container that the disks lie in."""
        self._cipher = AESGCM(_part(key, "pieces"))

    @classmethod
    def new(cls) -> Self:
        return cls(secrets.token_bytes(32))

    def seal(self, data: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, data, None)

    def open(self, sealed: bytes | memoryview) -> bytes:
        """Raises InvalidError where it is not as it was sealed."""
        try:
            return self._cipher.decrypt(bytes(sealed[:_NONCE]), sealed[_NONCE:], None)
        except (InvalidTag, ValueError) as error:
            raise InvalidError("a sealed part of the bundle is not as it was written") from error

    def locked(self, passphrase: str) -> Lock:
        """The key, for whoever knows the passphrase. Raises UsageError for a short one."""
        if len(passphrase) < SHORTEST:
            raise UsageError(
                f"a passphrase has at least {SHORTEST} characters",
                hint="take some words that nobody would guess together",
            )
        salt = secrets.token_bytes(16)
        key = Vault(_derived(passphrase, salt)).seal(self.key)
        return Lock(salt=salt.hex(), key=key.hex())


def unlock(lock: Lock, passphrase: str) -> Vault:
    """Raises UsageError where the passphrase is another one."""
    outer = Vault(_derived(passphrase, bytes.fromhex(lock.salt)))
    try:
        return Vault(outer.open(bytes.fromhex(lock.key)))
    except InvalidError as error:
        raise UsageError("that is not the bundle's passphrase", hint="try again") from error


def _part(key: bytes, purpose: str) -> bytes:
    about = f"workstation bundle {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=about).derive(key)


def _derived(passphrase: str, salt: bytes) -> bytes:
    """The same passphrase typed on another keyboard is the same: its composed form counts."""
    text = unicodedata.normalize("NFC", passphrase).encode()
    return Scrypt(salt=salt, length=32, n=2**17, r=8, p=1).derive(text)

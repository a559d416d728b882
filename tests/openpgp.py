"""A publisher's key, made at test time: OpenPGP's packets (RFC 9580), as far as gpgv asks."""

import base64
import hashlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_MADE = 1_700_000_000
"""When all is made and signed: nothing here ends with time."""

_EDDSA, _SHA256 = 22, 8
_CURVE = bytes.fromhex("092b06010401da470f01")
_BINARY, _TEXT, _CERTIFIES = 0x00, 0x01, 0x13


class Publisher:
    """Has a key and signs."""

    def __init__(self, name: str = "A Publisher") -> None:
        self._secret = Ed25519PrivateKey.generate()
        point = b"\x40" + self._secret.public_key().public_bytes_raw()
        self._key = struct.pack(">BIB", 4, _MADE, _EDDSA) + _CURVE + _number(point)
        self._name = name.encode()

    @property
    def _framed(self) -> bytes:
        return b"\x99" + struct.pack(">H", len(self._key)) + self._key

    @property
    def fingerprint(self) -> str:
        return hashlib.sha1(self._framed).hexdigest().upper()

    def ring(self, *, armored: bool = True, expired: bool = False) -> bytes:
        """The public key, as it is published."""
        person = b"\xb4" + struct.pack(">I", len(self._name)) + self._name
        # Flags: may certify and sign; and when the key ends, in seconds after it was made.
        more = _part(27, b"\x03") + (_part(9, struct.pack(">I", 60)) if expired else b"")
        own = self._signature(_CERTIFIES, self._framed + person, more)
        whole = _packet(6, self._key) + _packet(13, self._name) + own
        return _armor("PUBLIC KEY BLOCK", whole) if armored else whole

    def sign(self, content: bytes, *, armored: bool = True) -> bytes:
        """A signature apart from what it is of."""
        made = self._signature(_BINARY, content)
        return _armor("SIGNATURE", made) if armored else made

    def signed_text(self, text: str) -> bytes:
        """The text, signed itself."""
        lines = text.rstrip("\n").split("\n")
        made = self._signature(_TEXT, "\r\n".join(lines).encode())
        dashed = "\n".join(f"- {line}" if line.startswith("-") else line for line in lines)
        head = f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{dashed}\n"
        return head.encode() + _armor("SIGNATURE", made)

    def _signature(self, kind: int, content: bytes, more: bytes = b"") -> bytes:
        whose = b"\x04" + bytes.fromhex(self.fingerprint)
        hashed = _part(2, struct.pack(">I", _MADE + 1)) + _part(33, whose) + more
        head = struct.pack(">BBBBH", 4, kind, _EDDSA, _SHA256, len(hashed)) + hashed
        digest = hashlib.sha256(content + head + b"\x04\xff" + struct.pack(">I", len(head)))
        signed = self._secret.sign(digest.digest())
        issuer = _part(16, bytes.fromhex(self.fingerprint)[-8:])
        body = head + struct.pack(">H", len(issuer)) + issuer + digest.digest()[:2]
        return _packet(2, body + _number(signed[:32]) + _number(signed[32:]))


def _number(data: bytes) -> bytes:
    value = int.from_bytes(data, "big")
    bits = value.bit_length()
    return struct.pack(">H", bits) + value.to_bytes((bits + 7) // 8, "big")


def _part(kind: int, data: bytes) -> bytes:
    return struct.pack(">BB", len(data) + 1, kind) + data


def _packet(tag: int, body: bytes) -> bytes:
    return struct.pack(">BBI", 0xC0 | tag, 0xFF, len(body)) + body


def _armor(what: str, data: bytes) -> bytes:
    lines = base64.encodebytes(data).decode()
    check = base64.b64encode(_crc24(data).to_bytes(3, "big")).decode()
    return f"-----BEGIN PGP {what}-----\n\n{lines}={check}\n-----END PGP {what}-----\n".encode()


def _crc24(data: bytes) -> int:
    """RFC 9580, 6.1.1."""
    rest = 0xB704CE
    for byte in data:
        rest ^= byte << 16
        for _ in range(8):
            rest <<= 1
            if rest & 0x1000000:
                rest ^= 0x1864CFB
    return rest

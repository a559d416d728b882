"""Passwords as systems keep them: only hashes of them are ever written down.

Made by the library that logs people in on this computer, libcrypt (crypt(3)): Python's own module
for it is gone since 3.13.
"""

import ctypes
import re
import secrets
from contextlib import suppress

from workstation.errors import HostError

_HASH = re.compile(r"\$[0-9a-z]{1,8}\$[^:\s]{10,}")
_SALT = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", None)
"""Of Debian and its kin, of Fedora and its kin; in musl it is part of the C library."""


def is_hash(text: str) -> bool:
    """Whether that is what crypt(5) calls a hash, in the form that names its method."""
    return bool(_HASH.fullmatch(text))


def hashed(password: str) -> str:
    """Its hash by the method that every Linux knows (SHA-512); a hash is returned as it is."""
    if is_hash(password):
        return password
    salt = "$6$" + "".join(secrets.choice(_SALT) for _ in range(16))
    for name in _LIBRARIES:
        with suppress(OSError, AttributeError):
            crypt = ctypes.CDLL(name).crypt
            crypt.argtypes, crypt.restype = [ctypes.c_char_p, ctypes.c_char_p], ctypes.c_char_p
            made = crypt(password.encode(), salt.encode())
            if made and made.startswith(salt.encode()):
                return str(made.decode())
    raise HostError(
        "this computer lacks libcrypt, which makes hashes of passwords",
        hint="write a hash into the profile: openssl passwd -6 makes one",
    )

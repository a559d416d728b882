"""SSH keys: a person's own, and those that are made for a machine."""

import re
from pathlib import Path
from typing import NamedTuple, get_args

from workstation.errors import NotFoundError
from workstation.model.provision import Provision, PublicKey

_PUBLIC = re.compile(next(one.pattern for one in get_args(PublicKey) if hasattr(one, "pattern")))
_LARGEST = 16_384


class KeyPair(NamedTuple):
    private: str
    """As OpenSSH keeps it, without a passphrase."""
    public: str
    """`ssh-ed25519 AAAA… comment`."""


def make_pair(comment: str) -> KeyPair:
    """A new ed25519 key."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return KeyPair(private, f"{public.decode()} {comment}")


def own_keys(home: Path) -> list[str]:
    """The public keys that ssh would offer by itself: ~/.ssh/id_*.pub."""
    found = []
    for file in sorted((home / ".ssh").glob("id_*.pub")):
        try:
            with file.open(errors="replace") as opened:
                line = opened.read(_LARGEST).strip()
        except OSError:
            continue
        if is_public(line):
            found.append(line)
    return found


def is_public(line: str) -> bool:
    """Whether that is a public key as files have it."""
    return bool(_PUBLIC.fullmatch(line))


def login_keys(provision: Provision, home: Path, name: str) -> tuple[list[str], KeyPair | None]:
    """The public keys that may log in, and the pair that is made for the machine, if one is."""
    own = own_keys(home) if provision.ssh_key in ("auto", "own") else []
    if provision.ssh_key == "own" and not own:
        raise NotFoundError(
            "provision.ssh_key is “own”, and there is no key in ~/.ssh",
            hint="make one with ssh-keygen, or write “machine”: then one is made for the machine",
        )
    wanted = provision.ssh_key == "machine" or (provision.ssh_key == "auto" and not own)
    pair = make_pair(f"workstation-{name}") if wanted else None
    return [*own, *provision.ssh_keys, *([pair.public] if pair else [])], pair

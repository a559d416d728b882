"""Who signed a bundle, and whom this person trusts.

$XDG_DATA_HOME/workstation/key          this installation's own key (32 bytes, mode 0600)
$XDG_CONFIG_HOME/workstation/trust.json fingerprints of those whose memory is loaded unasked
"""

import base64
import hashlib
import json
import os
import re
from contextlib import suppress
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, TypeAdapter, ValidationError

from workstation.core import atomic
from workstation.errors import InvalidError, NotFoundError, UsageError
from workstation.model.profile import Section
from workstation.model.scalars import Line
from workstation.paths import Paths

_GROUPS = 6
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"


class Trusted(Section):
    """Somebody whose bundles go on from their memory."""

    name: Line = ""
    added: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))


_Trusts = TypeAdapter(dict[str, Trusted])


def fingerprint(public: str) -> str:
    """Six groups of four letters and digits: 120 bits of SHA-256 of a key that is given in hex."""
    digest = hashlib.sha256(bytes.fromhex(public)).digest()
    text = base64.b32encode(digest[:15]).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, 4 * _GROUPS, 4))


def as_fingerprint(typed: str) -> str:
    """As it is written, of what a person typed; empty where it is none."""
    text = re.sub(r"[\s-]", "", typed).lower()
    if len(text) != 4 * _GROUPS or set(text) - set(_DIGITS):
        return ""
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


class Keys:
    """This installation's key and the person's trust in others'."""

    def __init__(self, paths: Paths) -> None:
        self._key = paths.data / "key"
        self._trust = paths.config / "trust.json"

    # -- our own ------------------------------------------------------------

    def own(self) -> Ed25519PrivateKey:
        """Made at its first use."""
        try:
            raw = self._key.read_bytes()
        except FileNotFoundError:
            raw = self._make()
        if len(raw) != 32:
            raise InvalidError(
                f"{self._key} is not a key",
                hint="move it away: a new one is made, which others must be told to trust",
            )
        return Ed25519PrivateKey.from_private_bytes(raw)

    def _make(self) -> bytes:
        self._key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._key.with_name(f".key.{os.getpid()}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(Ed25519PrivateKey.generate().private_bytes_raw())
                file.flush()
                os.fsync(file.fileno())
            # Of two programs that make one at once, the second takes the first one's.
            with suppress(FileExistsError):
                self._key.hardlink_to(temporary)
            atomic.sync_directory(self._key.parent)
        finally:
            temporary.unlink(missing_ok=True)
        return self._key.read_bytes()

    def own_fingerprint(self) -> str:
        return fingerprint(self.own().public_key().public_bytes_raw().hex())

    # -- others' ------------------------------------------------------------

    def trusted(self) -> dict[str, Trusted]:
        """By fingerprint; our own is not among them."""
        try:
            return _Trusts.validate_json(self._trust.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            raise InvalidError(
                f"{self._trust} cannot be read", hint="mend or delete it", details=str(error)
            ) from error

    def trusts(self, printed: str) -> bool:
        """Whether bundles with that fingerprint may go on from memory: ours may."""
        return printed in self.trusted() or self._is_own(printed)

    def _is_own(self, printed: str) -> bool:
        return self._key.exists() and printed == self.own_fingerprint()

    def name_of(self, printed: str) -> str:
        """What the person calls that signer; `this computer`, or empty for a stranger."""
        if self._is_own(printed):
            return "this computer"
        found = self.trusted().get(printed)
        return (found.name or "trusted") if found else ""

    def add(self, printed: str, name: str) -> None:
        if not as_fingerprint(printed):
            raise UsageError(
                f"“{printed}” is no fingerprint",
                hint="it has 24 letters and digits: workstation trust list prints one's own",
            )
        known = self.trusted()
        try:
            known[as_fingerprint(printed)] = Trusted(name=name)
        except ValidationError as error:
            raise UsageError("that cannot be a name", hint="take one line of text") from error
        self._save(known)

    def remove(self, wanted: str) -> str:
        """By name or fingerprint; returns the fingerprint. Raises NotFoundError."""
        known = self.trusted()
        printed = as_fingerprint(wanted)
        found = [one for one, of in known.items() if one == printed or of.name == wanted]
        if not found:
            raise NotFoundError(f"“{wanted}” is not trusted", hint="see: workstation trust list")
        if len(found) > 1:
            raise UsageError(f"several are called “{wanted}”", hint="give the fingerprint")
        del known[found[0]]
        self._save(known)
        return found[0]

    def _save(self, known: dict[str, Trusted]) -> None:
        self._trust.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = {one: of.model_dump(mode="json") for one, of in known.items()}
        atomic.write(self._trust, json.dumps(data, indent=1))

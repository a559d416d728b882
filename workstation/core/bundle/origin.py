"""Who had signed what came in a bundle, and whether its memory may be loaded."""

from pathlib import Path

from pydantic import ValidationError

from workstation.core import atomic
from workstation.core.bundle.keys import Keys, as_fingerprint
from workstation.core.bundle.reader import Bundle
from workstation.core.layers.store import ORIGIN, Store
from workstation.errors import InvalidError, UsageError
from workstation.model.profile import Section


class Origin(Section):
    """Kept beside a layer's files."""

    signer: str
    """A fingerprint."""
    confirmed: bool = False
    """The person typed that its memory may be loaded, whoever the signer is."""


def claimed(bundle: Bundle, typed: str) -> Origin:
    """Of what comes in a bundle; raises UsageError where another fingerprint was typed."""
    if typed and as_fingerprint(typed) != bundle.signer:
        raise UsageError(
            f"{bundle} was not signed by “{typed}”",
            hint=f"its signer is {bundle.signer}: ask whoever gave it to you",
        )
    return Origin(signer=bundle.signer, confirmed=bool(typed))


def write(directory: Path, origin: Origin) -> None:
    atomic.write(directory / ORIGIN, origin.model_dump_json())


def read(store: Store, layer: str) -> Origin | None:
    """None for a layer that was made here. Raises InvalidError where it cannot be told."""
    file = store.directory(layer) / ORIGIN
    try:
        return Origin.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise InvalidError(f"{file} cannot be read", details=str(error)) from error


def may_load(store: Store, keys: Keys, layer: str) -> bool:
    """Whether a QEMU of this person may take the memory of that layer."""
    origin = read(store, layer)
    return origin is None or origin.confirmed or keys.trusts(origin.signer)

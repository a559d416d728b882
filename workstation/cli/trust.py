"""The commands that say whose bundles may go on from their memory."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.cli.streams import interactive
from workstation.errors import NotFoundError, UsageError
from workstation.model.text import safe_line
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def show(call: "Call") -> None:
    """One's own fingerprint, and those that are trusted."""
    from workstation.core.bundle.keys import Keys

    paths = Paths.from_environment()
    paths.prepare()
    keys = Keys(paths)
    trusted = {one: of.name for one, of in keys.trusted().items()}
    if call.json:
        print(json.dumps({"own": keys.own_fingerprint(), "trusted": trusted}, indent=2))
        return
    print(f"{keys.own_fingerprint()}  this computer")
    for printed, name in trusted.items():
        print(f"{printed}  {safe_line(name)}")


def add(call: "Call") -> int:
    """By a fingerprint, or by a bundle whose signer it is."""
    from workstation.core.bundle.keys import Keys, as_fingerprint

    printed = as_fingerprint(call.signer) or _signer_of(Path(call.signer).expanduser())
    if not as_fingerprint(call.signer) and not (call.yes or _confirmed(printed)):
        return 1
    Keys(Paths.from_environment()).add(printed, call.name)
    data = {"fingerprint": printed, "name": call.name, "trusted": True}
    name = f" ({safe_line(call.name)})" if call.name else ""
    text = f"{printed}{name}: trusted; what it signs goes on from its memory"
    print(json.dumps(data, indent=2) if call.json else text)
    return 0


def _signer_of(path: Path) -> str:
    from workstation.core.bundle.reader import signer_of

    try:
        return signer_of(path)
    except (NotFoundError, OSError) as error:
        raise UsageError(
            f"“{path}” is neither a fingerprint nor a bundle",
            hint="workstation trust list prints one's own fingerprint",
        ) from error


def _confirmed(printed: str) -> bool:
    if not interactive():
        raise UsageError(f"trust {printed}? That needs a yes", hint="say it with --yes")
    print(f"It was signed by {printed}. Compare that with what its owner says of theirs.")
    try:
        return input("Trust this signer? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def remove(call: "Call") -> None:
    """By the name that it was given, or by its fingerprint."""
    from workstation.core.bundle.keys import Keys

    printed = Keys(Paths.from_environment()).remove(call.signer)
    data = {"fingerprint": printed, "trusted": False}
    print(json.dumps(data, indent=2) if call.json else f"{printed}: trusted no more")

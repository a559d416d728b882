"""Layers whose large files stay in a bundle: what the library remembers of where those are.

    layers/ID/link.json     which bundle holds the layer's disks and memory, and how large they are
    bundles/ID.json         where that bundle was seen last

Where in the bundle they lie is the bundle's own knowledge (bundle/reader.py). Imported by
`workstation list`: quick modules only.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from workstation.core import atomic
from workstation.paths import MachinePaths

LINK = "link.json"


class Link(NamedTuple):
    """The content of `link.json`."""

    bundle: str
    """The bundle's id."""
    files: dict[str, list[int]]
    """Offset and bytes of each file that stays in it, by name, as they were at the opening.

    QEMU is given what the bundle itself says; these tell which node of a running one it is.
    """

    verified: bool = False
    """Whether its disks were read once, and were as they were written."""

    @property
    def size(self) -> int:
        """Bytes in the bundle."""
        return sum(size for _, size in self.files.values())


class Place(NamedTuple):
    """The content of a file in `bundles`."""

    path: str
    medium: str = ""
    """What a person calls the medium that it lies on; empty where it cannot be pulled out."""
    inside: str = ""
    """Its path on that medium, wherever that is mounted."""
    signer: str = ""
    """The public key that signed it."""


def read(directory: Path) -> Link | None:
    """Of the layer with that directory; None where all of it is there."""
    with suppress(OSError, ValueError, TypeError):
        return Link(**json.loads((directory / LINK).read_text()))
    return None


def write(directory: Path, link: Link) -> None:
    """Of a layer that is being made."""
    (directory / LINK).write_text(json.dumps(link._asdict(), indent=1))


def write_again(directory: Path, link: Link) -> None:
    """Of a layer that is there."""
    if (directory / LINK).exists():  # it may have settled in meanwhile
        atomic.write(directory / LINK, json.dumps(link._asdict(), indent=1))


def place(bundles: Path, bundle: str) -> Place | None:
    """Where that bundle was seen last."""
    with suppress(OSError, ValueError, TypeError):
        return Place(**json.loads((bundles / f"{bundle}.json").read_text()))
    return None


def remember(bundles: Path, bundle: str, seen: Place) -> None:
    bundles.mkdir(mode=0o700, exist_ok=True)
    atomic.write(bundles / f"{bundle}.json", json.dumps(seen._asdict(), indent=1))


def bundles_below(layers: Path, layer: str | None) -> Iterator[str]:
    """The bundles that a layer and those below it lie in; broken ones end the chain."""
    seen: set[str] = set()
    while layer:
        if (link := read(layers / layer)) and link.bundle not in seen:
            seen.add(link.bundle)
            yield link.bundle
        try:
            layer = json.loads((layers / layer / "layer.json").read_text())["parent"]
        except (OSError, ValueError, KeyError, TypeError):
            return


def stamp(machine: MachinePaths) -> int:
    """Another number whenever something about the library's bundles changed; 0 without any."""
    try:
        return _bundles(machine).stat().st_mtime_ns
    except OSError:
        return 0


def forget_unused(bundles: Path, layers: Path) -> None:
    """Of a bundle that no layer lies in any more nothing is kept; nobody adds layers meanwhile."""
    used = {link.bundle for layer in layers.glob("*") if (link := read(layer))}
    for seen in bundles.glob("*.json"):
        if seen.stem not in used:
            seen.unlink(missing_ok=True)


def touch(bundles: Path) -> None:
    """A layer that lay in one of them does no more: whoever keeps a stamp looks again."""
    with suppress(OSError):
        os.utime(bundles)


def reads(machine: MachinePaths) -> str:
    """The bundles that a machine's layers lie in, in a person's words; mostly there are none."""
    try:
        history = json.loads(machine.history.read_text())
        roots = [history["head"]["layer"], *history["snapshots"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    layers, bundles = _bundles(machine).parent / "layers", _bundles(machine)
    found = dict.fromkeys(one for root in set(roots) for one in bundles_below(layers, root))
    return ", ".join(sorted(named(seen) for one in found if (seen := place(bundles, one))))


def _bundles(machine: MachinePaths) -> Path:
    return machine.data.parent.parent / "bundles"


def head_layer(machine: MachinePaths) -> str | None:
    """The layer that its head stands on; None for none, or where that cannot be read."""
    try:
        layer: str | None = json.loads(machine.history.read_text())["head"]["layer"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return layer


def away(machine: MachinePaths) -> str:
    """Why the disks of a machine cannot be read: the stick that is gone; empty where none is."""
    root = machine.data.parent.parent
    for bundle in bundles_below(root / "layers", head_layer(machine)):
        seen = place(root / "bundles", bundle)
        if seen and not Path(seen.path).exists():
            return f"{named(seen)} is gone: plug it in again, then resume"
    return ""


def alarm(machine: MachinePaths) -> str:
    """What was found wrong with the bundle that a machine stands on; mostly nothing was."""
    try:
        return machine.alarm.read_text(errors="replace").strip()
    except OSError:
        return ""


def named(seen: Place) -> str:
    """What to plug in, in a person's words."""
    file = seen.path.rpartition("/")[2]
    return f"the stick “{seen.medium}” with {file}" if seen.medium else seen.path

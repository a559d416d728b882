"""The commands about images."""

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from workstation.cli.table import table
from workstation.core.images import Images
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def show(call: "Call") -> None:
    """The images that are here, and those that can be built."""
    images = Images(Paths.from_environment())
    have = {image.name: image for image in images.list()}
    names = sorted({*have, *images.recipes()})
    if call.json:
        paths = {name: str(image.path) for name, image in have.items()}
        rows = [{"name": n, "built": n in have, "path": paths.get(n, "")} for n in names]
        print(json.dumps(rows, indent=2))
        return
    cells = [
        (name, "here" if name in have else f"not built: workstation images build {name}")
        for name in names
    ]
    print(table(("NAME", "STATE"), cells))


def build(call: "Call") -> None:
    """Build an image anew from its recipe."""
    paths = Paths.from_environment()
    paths.prepare()

    def progress(step: str, share: float) -> None:
        print(f"  {share:4.0%}  {step}", file=sys.stderr, flush=True)

    image = asyncio.run(Images(paths).build(call.name, progress))
    if call.json:
        print(json.dumps({"name": image.name, "path": str(image.path)}, indent=2))
    else:
        print(f"“{image.name}”: built, in {image.path}")

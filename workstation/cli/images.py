"""The commands about images."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.cli.station import station
from workstation.cli.table import table
from workstation.core.images import Image, Images
from workstation.core.images.keep import How, name_of
from workstation.core.images.offers import offers
from workstation.core.imaging.recipe import recipe_names
from workstation.errors import InvalidError
from workstation.model.text import safe_line
from workstation.model.units import format_size
from workstation.paths import Paths, shipped

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def show(call: "Call") -> None:
    """The images that are here, and those that can be had."""
    found = offers(Images(Paths.from_environment()))
    if call.json:
        keys = ("name", "state", "description", "path", "login")
        rows = [{key: getattr(offer, key) for key in keys} for offer in found]
        print(json.dumps(rows, indent=2))
        return
    cells = [(offer.name, offer.state, safe_line(offer.description)) for offer in found]
    print(table(("NAME", "STATE", "WHAT IT IS"), cells))


def build(call: "Call") -> None:
    """Build an image anew from its recipe."""
    paths = Paths.from_environment()
    paths.prepare()
    last = ""

    def progress(step: str, share: float) -> None:
        nonlocal last
        if step != last:
            print(f"  {share:4.0%}  {step}", file=sys.stderr, flush=True)
        last = step

    image = asyncio.run(Images(paths).build(call.name, progress))
    _report(call, [image], "built")


def pull(call: "Call") -> None:
    """Download images of the catalog; one that is here already only with --again."""
    asyncio.run(_pull(call))


async def _pull(call: "Call") -> None:
    images = Images(Paths.from_environment())
    names = list(dict.fromkeys(call.names))
    here = [image for name in names if not call.again and (image := images.get(name))]
    wanted = [name for name in names if name not in [image.name for image in here]]
    async with station("images pull", line=True) as found:
        fresh = await found.making.pull(*wanted)
    if here and not call.json:
        _report(call, here, "here already (--again pulls it anew)")
    if fresh or call.json:
        _report(call, [*here, *fresh], "pulled")


def add(call: "Call") -> None:
    """Take a file into the library."""
    file = Path(call.file).expanduser()
    name = call.called or name_of(file)
    how = How.MOVE if call.move else How.LINK if call.link else How.COPY

    async def act() -> Image:
        async with station("images add", line=True) as found:
            return await found.making.add(file, name, how)

    _report(call, [asyncio.run(act())], "added")


def remove(call: "Call") -> None:
    """Out of the library; no machine is harmed."""
    images = Images(Paths.from_environment())
    for name in call.names:
        images.remove(name)
        if not call.json:
            print(f"“{name}”: removed; machines that were made from it keep what they need")
    if call.json:
        print(json.dumps([{"name": name, "removed": True} for name in call.names], indent=2))


def verify(call: "Call") -> int:
    """Read every file of those images, or of all; 0 only where each is as it was."""
    images = Images(Paths.from_environment())
    rows = []
    for name in call.names or [image.name for image in images.list()]:
        bad = images.verify(name)
        rows.append({"name": name, "whole": not bad, "differing": list(bad)})
        if not call.json:
            print(f"“{name}”: {'not as it was: ' + ', '.join(bad) if bad else 'whole'}")
    if call.json:
        print(json.dumps(rows, indent=2))
    return 0 if all(row["whole"] for row in rows) else InvalidError.exit_code


def _report(call: "Call", images: list[Image], done: str) -> None:
    if call.json:
        rows = [
            {
                "name": image.name,
                "path": str(image.path),
                "size": image.size,
                "origin": image.origin,
                "signature": image.signature,
                "files": dict(image.files),
            }
            for image in images
        ]
        print(json.dumps(rows, indent=2))
        return
    for image in images:
        print(f"“{image.name}”: {done}, {format_size(image.size)} in {image.path}")
        if image.signature:
            print(f"  signature: {safe_line(image.signature)}")


def known() -> list[str]:
    """Names for completion: files only, nothing is read."""
    paths = Paths.from_environment()
    places = (shipped("images"), paths.config / "images")
    own = [path.stem for path in paths.images.glob("[!.]*")]
    files = [file.stem for place in places for file in place.glob("*.y*ml")]
    return sorted({*own, *files, *recipe_names(shipped("images"))})

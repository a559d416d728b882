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
from workstation.core.imaging.recipe import recipe_names
from workstation.errors import InvalidError
from workstation.model.text import safe_line
from workstation.model.units import format_size
from workstation.paths import Paths, shipped

if TYPE_CHECKING:
    from workstation.cli.parser import Call
    from workstation.core.images.catalog import Entry


def show(call: "Call") -> None:
    """The images that are here, and those that can be had."""
    images = Images(Paths.from_environment())
    rows = _rows(images)
    if call.json:
        print(json.dumps(rows, indent=2))
        return
    cells = [(row["name"], row["state"], safe_line(row["description"])) for row in rows]
    print(table(("NAME", "STATE", "WHAT IT IS"), cells))


def _rows(images: Images) -> list[dict[str, str]]:
    have = {image.name: image for image in images.list()}
    entries = {entry.name: entry for entry in images.catalog.entries()}
    own, recipes = images.own_files(), images.recipes()
    names = sorted({*have, *entries, *own, *recipes})
    return [
        {
            "name": name,
            "state": _state(have.get(name), entries.get(name), name in own, name in recipes),
            "description": _description(have.get(name), entries.get(name)),
            "path": str(have[name].path if name in have else own.get(name, "")),
            "login": _login(entries.get(name)),
        }
        for name in names
    ]


def _state(image: Image | None, entry: "Entry | None", own: bool, recipe: bool) -> str:
    """Whether it is here, else how it comes."""
    if image:
        return f"here, {format_size(image.size)}"
    if own:
        return "here, a file of yours"
    if recipe:
        return "to build"
    if entry and entry.problem:
        return "has a problem"
    known = entry.image if entry else None
    if known and known.urls:
        return f"to pull, {format_size(known.download)}"
    return "to add"


def _description(image: Image | None, entry: "Entry | None") -> str:
    if entry and entry.problem:
        return entry.problem
    if entry and entry.image:
        return entry.image.description
    if image and image.origin:
        return f"from {image.origin}"
    return f"Linux {image.kernel}" if image and image.kernel else ""


def _login(entry: "Entry | None") -> str:
    return entry.image.login if entry and entry.image else ""


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

"""The image library: `images/` in the cache directory, and what fills it.

An image is a directory with an `image.yaml`, written last and moved into place whole; machines
hard-link its files, so a newer one harms none. A person's own file may lie there too.
"""

import fcntl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.core.images.manifest import MANIFEST, Image, read, write
from workstation.core.images.workshop import LOCK, Workshop, install, locked, open_workshop
from workstation.errors import NotFoundError, WorkstationError
from workstation.paths import Paths, shipped

if TYPE_CHECKING:
    from workstation.core.images.catalog import Catalog
    from workstation.core.images.keep import How
    from workstation.core.images.pull import Tell
    from workstation.core.imaging.recipe import DiskRecipe, Recipe

ENDINGS = (".qcow2", ".raw", ".img", ".iso")
"""Of a person's own disk images and discs."""


def _silent(what: str, part: float) -> None:
    pass


def _quiet(title: str = "", done: float = 0, total: float | None = None) -> None:
    pass


class Images:
    """The images of this user."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._root = paths.images
        self._packages = paths.cache / "packages"
        self._recipes = shipped("images")

    @property
    def catalog(self) -> "Catalog":
        """What can be pulled."""
        from workstation.core.images.catalog import Catalog

        return Catalog(self._paths)

    def recipes(self) -> list[str]:
        """Names that `build` takes."""
        from workstation.core.imaging.recipe import recipe_names

        return recipe_names(self._recipes)

    def recipe(self, name: str) -> "Recipe | DiskRecipe":
        """Raises NotFoundError where there is none, InvalidError where it cannot be followed."""
        from workstation.core.imaging.recipe import load_recipe

        return load_recipe(self._recipes, name)

    # -- what is here -------------------------------------------------------

    def get(self, name: str) -> Image | None:
        """None if there is no finished image of that name; raises InvalidError for a broken one."""
        path = self._root / name / MANIFEST
        if name.startswith(".") or "/" in name:
            return None
        try:
            return read(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        # Between the two renames of a rebuild it is away for a moment: look again with the lock.
        if not (self._root / LOCK).exists():
            return None
        with (
            locked(self._root, fcntl.LOCK_SH),
            suppress(FileNotFoundError, NotADirectoryError),
        ):
            return read(path)
        return None

    def list(self) -> list[Image]:
        """The finished images, by name."""
        names = sorted(path.parent.name for path in self._root.glob(f"*/{MANIFEST}"))
        return [image for image in map(self.get, names) if image]

    def own_files(self) -> dict[str, Path]:
        """A person's own files that lie in the library as they are, by the name that means them."""
        found = sorted(path for path in self._root.glob("[!.]*") if path.suffix in ENDINGS)
        return {path.stem: path for path in reversed(found) if path.is_file()}

    def resolve(self, ref: str) -> Path:
        """The file that an ImageRef of a profile means: `IMAGE`, `IMAGE/FILE`, `/absolute/path`.

        Raises NotFoundError if it is not there.
        """
        if ref.startswith("/"):
            return _existing(Path(ref), "check the path in the profile")
        name, _, file = ref.partition("/")
        image = self.get(name)
        if not file and image:
            if len(image.files) != 1:
                known = ", ".join(f"{name}/{file}" for file in image.files)
                raise NotFoundError(f"“{ref}” has more than one file", hint=f"one of: {known}")
            file = next(iter(image.files))
        path = self._root / name / file if file else self._own(name)
        return _existing(path, self._how_to_get(ref), what=ref)

    def owns(self, path: Path) -> bool:
        """Whether the file is of a finished image, so that nobody writes to it any more."""
        return bool(self.digest(path))

    def digest(self, path: Path) -> str:
        """SHA-256 of a file of a finished image, as its manifest says; empty for another file."""
        image = self.get(path.parent.name) if path.parent.parent == self._root else None
        return image.files.get(path.name, "") if image else ""

    def _own(self, name: str) -> Path:
        """A person's own file: `debian-12.qcow2` for “debian-12”, or just of that name."""
        files = (self._root / f"{name}{ending}" for ending in ENDINGS)
        return next((file for file in files if file.is_file()), self._root / name)

    def _how_to_get(self, ref: str) -> str:
        name = ref.partition("/")[0]
        if name in self.recipes():
            return f"workstation images build {name}"
        if name in self.catalog.names():
            return self._how_to_pull(name)
        whole = "/" in ref or ref.endswith(ENDINGS)
        place = self._root / (ref if whole else f"{ref}.qcow2")
        return f"put a file of your own at {place}, or give an absolute path"

    def _how_to_pull(self, name: str) -> str:
        with suppress(WorkstationError):
            if (known := self.catalog.get(name)) and known.given:
                return f"workstation images add FILE --name {name}"
        return f"workstation images pull {name}"

    # -- getting one --------------------------------------------------------

    async def ensure(self, name: str, progress: Callable[[str, float], None] = _silent) -> Image:
        """The image; built if it is missing, or was built by another recipe than today's.

        Where it cannot be built anew, the one that is there is still good.
        """
        from workstation.core.imaging.recipe import fingerprint

        found = self.get(name)
        if found and found.recipe == fingerprint(self._recipes, name):
            return found
        try:
            return await self.build(name, progress)
        except WorkstationError:
            if found:
                return found
            raise

    async def build(self, name: str, progress: Callable[[str, float], None] = _silent) -> Image:
        """Build it anew. `progress` is told what goes on and the part that is done, 0 to 1.

        Raises NotFoundError if there is no recipe, HostError if this host cannot follow it.
        When cancelled nothing is left; the image that was there stays until the new one is whole.
        """
        from workstation.core.imaging import build, disk
        from workstation.core.imaging.recipe import DiskRecipe

        recipe = self.recipe(name)
        async with self._workshop(name) as workshop:
            if isinstance(recipe, DiskRecipe):
                await disk.build(recipe, workshop.path, workshop.out, progress)
            else:
                await build.build(recipe, workshop.path, workshop.out, self._packages, progress)
        return read(self._root / name / MANIFEST)

    async def pull(self, name: str, tell: "Tell" = _quiet) -> Image:
        """Download it anew from where the catalog says.

        Raises NotFoundError, UsageError where a person has to bring it, HostError where no mirror
        has it or there is no room, InvalidError where it is not what its publisher lists. What was
        there stays until the new one is whole; a download that was cut off is gone on with.
        """
        from workstation.core.images import pull
        from workstation.core.imaging.work import in_thread

        image = self.catalog.find(name)
        pull.check(image)
        async with self._workshop(name) as workshop:
            origin = await pull.pull(image, self._root, workshop.out, tell)
            await in_thread(write, workshop.out, name, **origin)
        return read(self._root / name / MANIFEST)

    async def add(self, file: Path, name: str, how: "How", tell: "Tell" = _quiet) -> Image:
        """A person's own disk image or disc comes into the library.

        Raises NotFoundError, UsageError where the name is taken, InvalidError for what is no image.
        """
        from workstation.core.images import keep
        from workstation.core.imaging.work import in_thread

        keep.check(self, file, name)
        async with self._workshop(name) as workshop:
            tell(f"add {name}")
            origin = await in_thread(keep.take, file, workshop.out, how)
            await in_thread(write, workshop.out, name, origin=origin)
        return read(self._root / name / MANIFEST)

    @asynccontextmanager
    async def _workshop(self, name: str) -> AsyncIterator[Workshop]:
        """What is in its `out` at the end is the image of that name."""
        from workstation.core.imaging.work import in_thread

        workshop = await in_thread(open_workshop, self._root)
        try:
            yield workshop
            await in_thread(install, self._root, workshop, self._root / name)
        finally:
            await in_thread(workshop.close)

    # -- upkeep -------------------------------------------------------------

    def remove(self, name: str) -> None:
        """Take it out of the library; machines keep what they stand on. Raises NotFoundError."""
        from workstation.core.images import keep

        keep.remove(self, self._root, name)

    def verify(self, name: str) -> Sequence[str]:
        """Names of its files that are missing or not as they were; reads all of them."""
        from workstation.core.images import keep

        return keep.verify(self, name)


def _existing(path: Path, hint: str, what: str = "") -> Path:
    if not path.is_file():
        raise NotFoundError(f"there is no image “{what or path}”", hint=hint)
    return path

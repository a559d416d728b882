"""The image library: `images/` in the cache directory, and the recipes that fill it.

An image is a directory with an `image.yaml`, written last and moved into place whole; machines
hard-link its files, so a rebuild makes new ones. A person's own file may lie there too.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from workstation.errors import InvalidError, NotFoundError
from workstation.paths import Paths, shipped

MANIFEST = "image.yaml"
ENDINGS = (".qcow2", ".raw", ".img", ".iso")
"""Of a person's own disk images and discs."""

_UNFINISHED = ".building-"
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Image:
    """A finished image of the library."""

    name: str
    path: Path
    """Its directory."""
    built: str
    """ISO 8601, UTC."""
    kernel: str
    """Version of its kernel; empty if it has none."""
    ready: str
    """What the guest prints on its serial line when it is ready."""
    packages: Mapping[str, str]
    """Versions, by name."""
    files: Mapping[str, str]
    """SHA-256 in hex, by name."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum((self.path / name).stat().st_size for name in self.files)


def _silent(what: str, part: float) -> None:
    pass


class Images:
    """The images of this user."""

    def __init__(self, paths: Paths) -> None:
        self._root = paths.images
        self._packages = paths.cache / "packages"
        self._recipes = shipped("images")

    def recipes(self) -> list[str]:
        """Names that `build` takes."""
        from workstation.core.imaging.recipe import recipe_names

        return recipe_names(self._recipes)

    def get(self, name: str) -> Image | None:
        """None if there is no finished image of that name; raises InvalidError for a broken one."""
        path = self._root / name / MANIFEST
        if name.startswith(".") or "/" in name:
            return None
        try:
            return _read(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        # Between the two renames of a rebuild it is away for a moment: look again with the lock.
        if not (self._root / _LOCK).exists():
            return None
        with self._locked(fcntl.LOCK_SH), suppress(FileNotFoundError, NotADirectoryError):
            return _read(path)
        return None

    def list(self) -> list[Image]:
        """The finished images, by name."""
        names = sorted(path.parent.name for path in self._root.glob(f"*/{MANIFEST}"))
        return [image for image in map(self.get, names) if image]

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
        image = self.get(path.parent.name) if path.parent.parent == self._root else None
        return image is not None and path.name in image.files

    def _own(self, name: str) -> Path:
        """A person's own file: `debian-12.qcow2` for “debian-12”, or just of that name."""
        files = (self._root / f"{name}{ending}" for ending in ENDINGS)
        return next((file for file in files if file.is_file()), self._root / name)

    def _how_to_get(self, ref: str) -> str:
        name = ref.partition("/")[0]
        if name in self.recipes():
            return f"workstation images build {name}"
        whole = "/" in ref or ref.endswith(ENDINGS)
        place = self._root / (ref if whole else f"{ref}.qcow2")
        return f"put a file of your own at {place}, or give an absolute path"

    async def ensure(self, name: str, progress: Callable[[str, float], None] = _silent) -> Image:
        """The image; built if it is missing."""
        return self.get(name) or await self.build(name, progress)

    async def build(self, name: str, progress: Callable[[str, float], None] = _silent) -> Image:
        """Build it anew. `progress` is told what goes on and the part that is done, 0 to 1.

        Raises NotFoundError if there is no recipe, HostError if this host cannot follow it.
        When cancelled nothing is left; the image that was there stays until the new one is whole.
        """
        from workstation.core.imaging import build, disk
        from workstation.core.imaging.recipe import DiskRecipe, load_recipe
        from workstation.core.imaging.work import in_thread

        recipe = load_recipe(self._recipes, name)
        await in_thread(self._sweep)
        workshop = self._open_workshop()
        try:
            if isinstance(recipe, DiskRecipe):
                await disk.build(recipe, workshop.path, workshop.out, progress)
            else:
                await build.build(recipe, workshop.path, workshop.out, self._packages, progress)
            await in_thread(self._install, workshop, self._root / name)
        finally:
            await in_thread(workshop.close)
        return _read(self._root / name / MANIFEST)

    def _install(self, workshop: "_Workshop", target: Path) -> None:
        with self._locked(fcntl.LOCK_EX):
            if target.exists():
                target.rename(workshop.path / "old")
            workshop.out.rename(target)
        descriptor = os.open(self._root, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    def _open_workshop(self) -> "_Workshop":
        with self._locked(fcntl.LOCK_EX):
            return _Workshop(Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._root)))

    def _sweep(self) -> None:
        """Remove what killed builds have left."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked(fcntl.LOCK_EX):
            dead = [path for path in self._root.glob(f"{_UNFINISHED}*") if not _held(path)]
        for path in dead:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Held for the moment of two renames only, so waiting for it is short."""
        descriptor = os.open(self._root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)


class _Workshop:
    """A directory beside the images, held by a lock as long as its process works in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.out = path / "out"
        self.out.mkdir()
        self._held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._held)


def _held(path: Path) -> bool:
    """Whether a living process has that workshop, or is just removing it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _existing(path: Path, hint: str, what: str = "") -> Path:
    if not path.is_file():
        raise NotFoundError(f"there is no image “{what or path}”", hint=hint)
    return path


def _read(path: Path) -> Image:
    import yaml

    try:
        said = yaml.safe_load(path.read_text("utf-8"))
        return Image(
            name=said["name"],
            path=path.parent,
            built=said["built"],
            kernel=said.get("kernel", ""),
            ready=said.get("ready", ""),
            packages=said.get("packages", {}),
            files=said["files"],
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise InvalidError(
            f"{path} is damaged",
            hint=f"workstation images build {path.parent.name}",
            details=repr(error),
        ) from error

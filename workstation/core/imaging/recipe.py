"""What a recipe says: `images/NAME/recipe.yaml`, which travels with the program."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workstation.errors import InvalidError, NotFoundError
from workstation.model.units import parse_size


@dataclass(frozen=True, slots=True)
class Wanted:
    """A package: the first of `any` that the archive has, and what it stands for."""

    any: tuple[str, ...]
    follow: str = ""
    """Regular expression for the dependencies that are taken along, of those too."""


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    directory: Path
    architecture: str
    packages: tuple[Wanted, ...]
    kernel: tuple[str, ...]
    """Patterns of the kernel's file inside the packages."""
    description: str = ""
    ready: str = ""
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    """Kernel modules."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Path in the guest: path in the packages."""
    directories: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def rootfs(self) -> Path:
        return self.directory / "rootfs"


@dataclass(frozen=True, slots=True)
class DiskRecipe:
    """A whole system on a disk, made by mmdebstrap."""

    name: str
    directory: Path
    architecture: str
    suite: str
    size: int
    """Of the disk, in MiB."""
    packages: tuple[str, ...]
    tools: tuple[str, ...]
    """Packages that are unpacked to make the disk bootable, and not installed."""
    description: str = ""
    ready: str = ""
    leave_out: tuple[str, ...] = ()
    """Patterns of paths that dpkg does not install."""
    keep: tuple[str, ...] = ()
    """… but these all the same."""

    @property
    def rootfs(self) -> Path:
        """Files that are there before the packages are."""
        return self.directory / "rootfs"

    @property
    def assemble(self) -> str:
        """The script that makes a disk of the installed system."""
        return (self.directory / "assemble").read_text("utf-8")


def fingerprint(root: Path, name: str) -> str:
    """Another one whenever a file of the recipe's directory changes: SHA-256 in hex."""
    import hashlib

    directory, whole = root / name, hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(directory)}\n{content}\n".encode())
    return whole.hexdigest()


def recipe_names(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.glob("*/recipe.yaml"))


def load_recipe(root: Path, name: str) -> Recipe | DiskRecipe:
    """Raises NotFoundError where there is none, InvalidError where it cannot be followed."""
    if name not in recipe_names(root):
        raise NotFoundError(
            f"there is no recipe for an image “{name}”",
            hint=f"there is one for: {', '.join(recipe_names(root))}",
        )
    import yaml

    directory = root / name
    try:
        said = yaml.safe_load((directory / "recipe.yaml").read_text("utf-8"))
        read = _disk_recipe if said.get("kind") == "disk" else _recipe
        return read(directory, said)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise InvalidError(
            f"the recipe {directory / 'recipe.yaml'} cannot be followed", details=repr(error)
        ) from error


def _recipe(directory: Path, said: Mapping[str, Any]) -> Recipe:
    modules = said.get("modules", {})
    return Recipe(
        name=said["name"],
        directory=directory,
        architecture=said["architecture"],
        packages=tuple(
            Wanted(tuple(package["any"]), package.get("follow", "")) for package in said["packages"]
        ),
        kernel=tuple(said["kernel"]["any"]),
        description=said.get("description", ""),
        ready=said.get("ready", ""),
        required=tuple(modules.get("required", ())),
        optional=tuple(module for group in modules.get("optional", ()) for module in group),
        files=said.get("files", {}),
        directories=tuple(said.get("directories", ())),
        links=said.get("links", {}),
    )


def _disk_recipe(directory: Path, said: Mapping[str, Any]) -> DiskRecipe:
    return DiskRecipe(
        name=said["name"],
        directory=directory,
        architecture=said["architecture"],
        suite=said["suite"],
        size=parse_size(said["size"]) >> 20,
        packages=tuple(package for group in said["packages"] for package in group),
        tools=tuple(said["tools"]),
        description=said.get("description", ""),
        ready=said.get("ready", ""),
        leave_out=tuple(said.get("leave_out", ())),
        keep=tuple(said.get("keep", ())),
    )

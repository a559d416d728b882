"""What a recipe says: `images/NAME/recipe.yaml`, which travels with the program."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workstation.errors import InvalidError, NotFoundError


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
    kernel: str
    """Pattern of the kernel's file inside the packages."""
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


def recipe_names(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.glob("*/recipe.yaml"))


def load_recipe(root: Path, name: str) -> Recipe:
    """Raises NotFoundError where there is none, InvalidError where it cannot be followed."""
    if name not in recipe_names(root):
        raise NotFoundError(
            f"there is no recipe for an image “{name}”",
            hint=f"there is one for: {', '.join(recipe_names(root))}",
        )
    import yaml

    directory = root / name
    try:
        return _recipe(directory, yaml.safe_load((directory / "recipe.yaml").read_text("utf-8")))
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
        kernel=said["kernel"],
        description=said.get("description", ""),
        ready=said.get("ready", ""),
        required=tuple(modules.get("required", ())),
        optional=tuple(module for group in modules.get("optional", ()) for module in group),
        files=said.get("files", {}),
        directories=tuple(said.get("directories", ())),
        links=said.get("links", {}),
    )

"""A recipe, followed: fetch, unpack, choose, and write kernel, initramfs and manifest."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workstation.core.images import manifest
from workstation.core.imaging import modules, packages
from workstation.core.imaging.cpio import Archive
from workstation.core.imaging.recipe import Recipe, fingerprint
from workstation.core.imaging.work import Progress, in_thread
from workstation.errors import HostError


async def build(recipe: Recipe, work: Path, out: Path, kept: Path, progress: Progress) -> None:
    """Fill the empty directory `out`, its manifest last; `work` is for what can be thrown away.

    Downloaded packages stay in `kept`, so that the next build need not have the network.

    Raises HostError where apt is missing, its lists are old, or a package lacks something.
    """
    packages.check_host(recipe)
    debs, unpacked = work / "packages", work / "unpacked"
    debs.mkdir()
    progress("Asking for the current packages", 0.0)
    versions = await packages.fetch(
        recipe, debs, kept, lambda part: progress("Downloading packages", 0.05 + 0.7 * part)
    )
    progress("Unpacking", 0.75)
    await packages.unpack(debs, unpacked)
    progress("Writing the image", 0.9)
    await in_thread(_assemble, recipe, Unpacked(unpacked), out, versions)
    progress("Done", 1.0)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The root of the unpacked packages, whichever way they spell `/usr`."""

    root: Path

    def find(self, *patterns: str) -> Path:
        found = sorted(
            path
            for pattern in patterns
            for prefix in ("", "usr/")
            for path in self.root.glob(prefix + pattern)
            # A link in a package may lead anywhere on this host.
            if not path.is_symlink()
        )
        if not found:
            raise HostError(
                f"the packages have no {' or '.join(patterns)}",
                hint="use an image of your own, or report this with your distribution's name",
            )
        return found[-1]


def version_of(kernel: Path) -> str:
    """Of `boot/vmlinuz-VERSION` or `lib/modules/VERSION/vmlinuz`."""
    return kernel.name.partition("-")[2] or kernel.parent.name


def _assemble(recipe: Recipe, unpacked: Unpacked, out: Path, versions: Mapping[str, str]) -> None:
    kernel = unpacked.find(*recipe.kernel)
    version = version_of(kernel)
    shutil.copyfile(kernel, out / "vmlinuz")
    tree = modules.ModuleTree(unpacked.find(f"lib/modules/{version}"))
    selection = tree.select((*recipe.required, *recipe.optional))
    _check(recipe, selection)
    archive = Archive()
    _add_rootfs(archive, recipe)
    for target, source in recipe.files.items():
        archive.file(target, unpacked.find(source).read_bytes(), 0o755)
    _add_modules(archive, f"lib/modules/{version}", selection)
    with (out / "initrd").open("wb") as stream:
        archive.write(stream)
    manifest.write(
        out,
        recipe.name,
        kernel=version,
        ready=recipe.ready,
        recipe=fingerprint(recipe.directory.parent, recipe.name),
        packages=dict(versions),
        missing_modules=list(selection.missing),
    )


def _check(recipe: Recipe, selection: modules.Selection) -> None:
    required = set(map(modules.canonical, recipe.required))
    lacking = sorted(required.intersection(selection.missing))
    if lacking:
        raise HostError(
            f"this distribution's kernel lacks what “{recipe.name}” needs: {', '.join(lacking)}",
            hint="use an image of your own, or build it on another Debian or Ubuntu",
        )


def _add_rootfs(archive: Archive, recipe: Recipe) -> None:
    for path in sorted(recipe.rootfs.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            # A wheel may lose the mode; what starts with #! is a program.
            mode = 0o755 if data.startswith(b"#!") else 0o644
            archive.file(str(path.relative_to(recipe.rootfs)), data, mode)
    for name in recipe.directories:
        archive.directory(name, 0o1777 if name == "tmp" else 0o755)
    for name, target in recipe.links.items():
        archive.link(name, target)
    # The kernel opens it for /init, before anything is mounted.
    archive.character_device("dev/console", 5, 1)


def _add_modules(archive: Archive, directory: str, selection: modules.Selection) -> None:
    for module in selection.modules:
        archive.file(f"{directory}/{module.name}.ko", module.data)
    archive.file(f"{directory}/modules.dep", modules.dependency_file(selection))
    archive.file(f"{directory}/modules.alias", modules.alias_file(selection))

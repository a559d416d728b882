"""Words of other people that would be code or options, were they taken for such.

Each would make a file on this computer. That it does where nothing keeps it from it is part of
the test.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import tiny
from tests.test_carry_attacks import bundle, image
from tests.test_guest import small
from workstation.core.images import manifest
from workstation.core.images.catalog import Catalog
from workstation.core.imaging.recipe import load_recipe
from workstation.core.settings import load_settings
from workstation.core.workstation import Workstation
from workstation.errors import WorkstationError
from workstation.model.machine import State
from workstation.paths import Paths
from workstation.profile.load import load_profile
from workstation.profile.overrides import apply_overrides
from workstation.qemu import argv


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    """The file that must never appear."""
    return tmp_path / "sentinel"


def appeared(sentinel: Path) -> bool:
    """Whether it is there; it is not any more."""
    there = sentinel.exists()
    sentinel.unlink(missing_ok=True)
    return there


# -- YAML ---------------------------------------------------------------------------------

TAGS = {
    "apply": '!!python/object/apply:os.system ["touch {}"]',
    "node": '!!python/object/apply:os.mknod ["{}"]',
    "list": '[1, {{a: !!python/object/new:os.system ["touch {}"]}}]',
    "key": '? !!python/object/apply:os.system ["touch {}"]\n: x',
}


def _load_settings(paths: Paths, text: str) -> None:
    paths.settings.write_text(text)
    load_settings(paths)


def _load_profile(paths: Paths, text: str) -> None:
    file = paths.data / "evil.yaml"
    file.write_text(text)
    load_profile(file)


def _override(_: Paths, text: str) -> None:
    apply_overrides(tiny(), [f"notes={text}"])


def _load_catalog(paths: Paths, text: str) -> None:
    file = paths.config / "images" / "evil.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert next(one for one in Catalog(paths).entries() if one.name == "evil").problem
    Catalog(paths).find("evil")


def _load_image(paths: Paths, text: str) -> None:
    file = paths.data / manifest.MANIFEST
    file.write_text(text)
    manifest.read(file)


def _load_recipe(paths: Paths, text: str) -> None:
    file = paths.data / "evil" / "recipe.yaml"
    file.parent.mkdir()
    file.write_text(text)
    load_recipe(paths.data, "evil")


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize(
    "load",
    [_load_settings, _load_profile, _override, _load_catalog, _load_image, _load_recipe],
)
def test_a_tag_of_yaml_is_never_carried_out(
    load: Callable[[Paths, str], None], tag: str, paths: Paths, sentinel: Path
) -> None:
    paths.config.mkdir(parents=True, exist_ok=True)
    text = TAGS[tag].format(sentinel)
    if tag != "key" and load is not _override:
        text = f"name: evil\nnotes: {text}\n"
    with pytest.raises(WorkstationError):
        load(paths, text)
    assert not appeared(sentinel)


@pytest.mark.parametrize("tag", TAGS)
async def test_a_machines_file_with_a_tag_has_problems_and_does_nothing(
    tag: str, station: Workstation, sentinel: Path
) -> None:
    await station.create("one", tiny())
    file = station.paths.machine("one").file
    file.write_text(f"{file.read_text()}\n{TAGS[tag].format(sentinel)}\n")
    station.machine("one").look()
    async with Workstation(station.paths, front_end="test", watch=False) as other:
        for found in (station, other):
            with pytest.raises(WorkstationError, match="has problems"):
                await found.start("one")
    assert not appeared(sentinel)


@pytest.mark.qemu
async def test_what_a_bundle_says_is_text_in_the_machines_file(
    station: Workstation, tmp_path: Path, sentinel: Path
) -> None:
    """The profile in a bundle is JSON; here it is written as YAML, and read again."""
    tags = [text.format(sentinel) for text in TAGS.values()]
    notes = "\n".join([*tags, "---", "profile: x", *tags])
    profile = tiny(drives=[{"size": "8 MiB"}], notes=notes, description=tags[0], ready=tags[1])
    file = tmp_path / "one.vmbundle"
    bundle(file, image(tmp_path), profile=profile)
    await station.carry.import_file(file)
    async with Workstation(station.paths, front_end="test", watch=False) as other:
        definition = other.machine("one").definition
        assert definition
        said = definition.profile
        assert (said.notes, said.description, said.ready) == (notes, tags[0], tags[1])
    assert not appeared(sentinel)


@pytest.mark.parametrize("tag", TAGS)
def test_these_tags_are_carried_out_by_a_loader_that_does_so(tag: str, sentinel: Path) -> None:
    yaml.unsafe_load(TAGS[tag].format(sentinel))
    assert appeared(sentinel)


# -- QEMU's options -----------------------------------------------------------------------


def options(sentinel: Path) -> str:
    """Words that make QEMU write a file, where it takes them for its own."""
    return (
        f" -D {sentinel} -d guest_errors -chardev file,id=x,path={sentinel}"
        f" -serial file:{sentinel} ,logfile={sentinel},file={sentinel}"
    )


@pytest.mark.qemu
@pytest.mark.usefixtures("with_appliance")
async def test_texts_of_a_profile_add_no_option_to_a_qemu_that_runs(
    station: Workstation, tmp_path: Path, sentinel: Path
) -> None:
    words = options(sentinel)
    disc = tmp_path / f"disc,logfile={sentinel}" / ",file.filename=x -D y.iso"
    disc.parent.mkdir(parents=True)
    disc.write_bytes(bytes(2048))
    boot = small().boot.model_dump(exclude_defaults=True)
    profile = small(
        description=words[:200],
        notes=words,
        ready=words[:200],
        boot=boot | {"command_line": f"console=ttyS0 {words}"},
        drives=[{"size": "8 MiB"}],
        cdroms=[{"image": str(disc)}],
    )
    await station.create("one", profile)
    await station.start("one")
    assert station.view("one").state is State.RUNNING
    pair = station.machine("one").pair()
    assert pair
    said = Path(f"/proc/{pair.qemu.pid}/cmdline").read_text().split("\0")
    assert f"console=ttyS0 {words}" in said
    assert str(disc) in " ".join(said)
    await station.kill("one")
    assert not appeared(sentinel)


@pytest.mark.qemu
def test_these_words_are_options_to_a_qemu_that_gets_them_as_such(sentinel: Path) -> None:
    qemu = "qemu-system-x86_64 -M none -nodefaults -display none -monitor stdio"
    words = options(sentinel).partition(" ,")[0]
    subprocess.run(f"echo quit | {qemu} {words}", shell=True, check=True, timeout=60)
    assert appeared(sentinel)


@pytest.mark.qemu
@pytest.mark.parametrize("kept", [True, False])
async def test_a_shared_directory_is_the_one_that_was_named(
    station: Workstation, tmp_path: Path, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU takes the last `path=` of an option; without our quoting that is the private one."""
    private = tmp_path / "private"
    private.mkdir()
    named = Path(f"{tmp_path}/public,path={private}")
    named.mkdir(parents=True)
    if not kept:
        monkeypatch.setattr(argv, "quoted", str)
    profile = tiny(shares=[{"path": str(named), "tag": "it", "mode": "9p", "writable": True}])
    await station.create("one", profile)
    await station.start("one")
    pair = station.machine("one").pair()
    assert pair
    opened = {link.resolve() for link in Path(f"/proc/{pair.qemu.pid}/fd").iterdir()}
    assert (private in opened, named in opened) == (not kept, kept)
    await station.kill("one")

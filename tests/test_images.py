"""The image library and the pieces of a build, without the network and without QEMU."""

import asyncio
import io
import lzma
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from workstation.core.images import Images
from workstation.core.images.manifest import Image, read
from workstation.core.imaging import packages
from workstation.core.imaging.build import Unpacked, version_of
from workstation.core.imaging.cpio import Archive
from workstation.core.imaging.modules import ModuleTree, alias_file, dependency_file
from workstation.core.imaging.recipe import Recipe, Wanted, fingerprint, load_recipe
from workstation.errors import HostError, InvalidError, NotFoundError
from workstation.paths import Paths, shipped


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*(tmp_path / name for name in ("data", "config", "cache", "run")))


# -- the archive ------------------------------------------------------------


def parsed(archive: Archive) -> dict[str, tuple[int, bytes, tuple[int, int]]]:
    """Mode, content and device numbers by name, read as the newc format says."""
    stream = io.BytesIO()
    archive.write(stream)
    data, at = stream.getvalue(), 0
    found: dict[str, tuple[int, bytes, tuple[int, int]]] = {}
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = data[at + 110 : at + 110 + fields[11]]
        assert name.endswith(b"\0")
        start = at + (110 + fields[11] + 3) // 4 * 4
        at = start + (fields[6] + 3) // 4 * 4
        if name == b"TRAILER!!!\0":
            assert at == len(data)
            return found
        content = data[start : start + fields[6]]
        found[name[:-1].decode()] = (fields[1], content, (fields[9], fields[10]))


def test_an_archive_holds_files_links_and_devices_and_their_parents_first() -> None:
    archive = Archive()
    archive.file("usr/bin/odd", b"12345", 0o755)
    archive.link("init", "bin/busybox")
    archive.character_device("dev/console", 5, 1)
    archive.directory("tmp", 0o1777)
    found = parsed(archive)
    assert list(found) == ["dev", "dev/console", "init", "tmp", "usr", "usr/bin", "usr/bin/odd"]
    assert found["usr/bin/odd"] == (stat.S_IFREG | 0o755, b"12345", (0, 0))
    assert found["init"] == (stat.S_IFLNK | 0o777, b"bin/busybox", (0, 0))
    assert found["dev/console"] == (stat.S_IFCHR | 0o600, b"", (5, 1))
    assert found["tmp"][0] == stat.S_IFDIR | 0o1777


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../b", ""])
def test_a_name_that_leads_out_of_the_archive_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        Archive().file(name, b"")


# -- kernel modules ---------------------------------------------------------


def kernel_object(*info: str) -> bytes:
    """The least of an ELF file that has a .modinfo section."""
    content = b"\0".join(item.encode() for item in info) + b"\0"
    names = b"\0.modinfo\0.shstrtab\0"

    def header(name: int, offset: int, size: int) -> bytes:
        fields = (name.to_bytes(4, "little"), bytes(20), offset.to_bytes(8, "little"))
        return b"".join((*fields, size.to_bytes(8, "little"), bytes(24)))

    table = 64 + len(content) + len(names)
    elf = bytearray(64)
    elf[:5] = b"\x7fELF\x02"
    elf[40:48] = table.to_bytes(8, "little")
    elf[58:64] = b"".join(number.to_bytes(2, "little") for number in (64, 3, 2))
    sections = (
        bytes(64),
        header(1, 64, len(content)),
        header(10, 64 + len(content), len(names)),
    )
    return bytes(elf) + content + names + b"".join(sections)


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/virtio_net.ko").write_bytes(
        kernel_object("alias=virtio:d00000001v*", "depends=net-failover,virtio")
    )
    (tmp_path / "net/net_failover.ko.xz").write_bytes(
        lzma.compress(kernel_object("depends=failover"))
    )
    (tmp_path / "net/failover.ko").write_bytes(kernel_object("depends=", "license=GPL"))
    (tmp_path / "virtio.ko").write_bytes(kernel_object("depends=virtio_ring"))
    (tmp_path / "virtio_ring.ko").write_bytes(kernel_object("author=one", "depends="))
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    return ModuleTree(tmp_path)


def test_modules_bring_what_they_need_before_them(tree: ModuleTree) -> None:
    selection = tree.select(["virtio-net", "ext4", "warp_drive"])
    names = [module.name for module in selection.modules]
    assert names == ["failover", "net_failover", "virtio_ring", "virtio", "virtio_net"]
    assert selection.built_in == ("ext4",)
    assert selection.missing == ("warp_drive",)
    # A compressed one is stored plain: the guest's insmod reads it without more tools.
    assert all(module.data.startswith(b"\x7fELF") for module in selection.modules)


def test_modprobe_is_told_the_order_and_the_devices(tree: ModuleTree) -> None:
    selection = tree.select(["virtio_net"])
    lines = dependency_file(selection).decode().splitlines()
    # The rightmost is loaded first.
    assert lines[-1] == "virtio_net.ko: virtio.ko virtio_ring.ko net_failover.ko failover.ko"
    assert lines[0] == "failover.ko:"
    assert alias_file(selection) == b"alias virtio:d00000001v* virtio_net\n"


def test_modules_that_need_each_other_do_not_hang_the_build(tmp_path: Path) -> None:
    (tmp_path / "hen.ko").write_bytes(kernel_object("depends=egg"))
    (tmp_path / "egg.ko").write_bytes(kernel_object("depends=hen"))
    selection = ModuleTree(tmp_path).select(["hen"])
    assert {module.name for module in selection.modules} == {"hen", "egg"}
    assert dependency_file(selection)


def test_a_module_that_is_no_elf_file_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "odd.ko").write_bytes(b"hello")
    with pytest.raises(HostError, match="not an ELF file"):
        ModuleTree(tmp_path).select(["odd"])


# -- packages ---------------------------------------------------------------

POLICY = """
cat <<'END'
linux-image-cloud-amd64:
  Installed: (none)
  Candidate: (none)
linux-image-amd64:
  Candidate: 7.2.13-1
linux-image-virtual:
  Installed: (none)
  Candidate: 6.8.0.40
busybox-static:
  Installed: 1.0
  Candidate: 1.36
e2fsck-static:
  Candidate: 1.47
END
"""

APT_CACHE = f"""#!/bin/sh
[ "$1" = policy ] && {{ {POLICY}
exit; }}
case "$4" in
linux-image-virtual) echo "  Depends: linux-image-6.8.0-40-generic" ;;
linux-image-amd64)
    echo "  Depends: linux-base-amd64"
    echo "  Depends: linux-image-7.2.13+deb14-amd64" ;;
linux-image-7.2.13+deb14-amd64)
    echo " |Depends: dracut"
    echo "  Depends: linux-base-7.2.13+deb14-amd64"
    echo "  Depends: linux-binary-7.2.13+deb14-amd64"
    echo "  Depends: linux-modules-7.2.13+deb14-amd64" ;;
linux-image-6.8.0-40-generic)
    echo "  Depends: kmod"
    echo " |Depends: <virtual>"
    echo "  Depends: linux-modules-6.8.0-40-generic" ;;
esac
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package manager of the test's own, first on the path; its apt-get does nothing yet."""
    directory = tmp_path / "bin"
    directory.mkdir()
    program(directory / "apt-cache", APT_CACHE)
    program(directory / "apt-get", "#!/bin/sh\nexit 0\n")
    program(directory / "dpkg-deb", "#!/bin/sh\nexit 0\n")
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return directory


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.usefixtures("apt")
async def test_the_current_kernel_is_found_behind_its_meta_package() -> None:
    recipe = load_recipe(shipped("images"), "appliance")
    assert isinstance(recipe, Recipe)
    wanted = recipe.packages[0]
    assert wanted.any[0] == "linux-image-cloud-amd64"  # not here
    assert await packages.resolve([wanted, Wanted(("busybox-static",))]) == [
        "linux-image-6.8.0-40-generic",
        "linux-modules-6.8.0-40-generic",
        "busybox-static",
    ]
    # Debian 14 has the kernel in a package, and what is built into it in another.
    parts = ("image", "base", "binary", "modules")
    debian = Wanted(("linux-image-amd64",), wanted.follow)
    assert await packages.resolve([debian]) == [
        f"linux-{part}-7.2.13+deb14-amd64" for part in parts
    ]


@pytest.mark.parametrize("place", ["boot/vmlinuz-6.1.0-1", "usr/lib/modules/6.1.0-1/vmlinuz"])
def test_a_kernel_is_found_where_either_debian_has_it(tmp_path: Path, place: str) -> None:
    recipe = load_recipe(shipped("images"), "appliance")
    assert isinstance(recipe, Recipe)
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).touch()
    kernel = Unpacked(tmp_path).find(*recipe.kernel)
    assert (kernel, version_of(kernel)) == (tmp_path / place, "6.1.0-1")


@pytest.mark.usefixtures("apt")
async def test_empty_package_lists_say_what_to_run() -> None:
    with pytest.raises(HostError, match="know no unheard-of") as caught:
        await packages.resolve([Wanted(("unheard-of",))])
    assert "sudo apt-get update" in caught.value.hint


async def test_outdated_package_lists_say_what_to_run(apt: Path, paths: Paths) -> None:
    fails = 'echo "E: Failed to fetch …  404  Not Found" >&2; exit 100'
    program(apt / "apt-get", f'#!/bin/sh\ncase "$*" in *print-uris*) exit 0;; esac\n{fails}\n')
    with pytest.raises(HostError) as caught:
        await Images(paths).build("appliance")
    assert "sudo apt-get update" in caught.value.hint
    assert "404" in caught.value.details
    assert leftovers(paths) == []


async def test_a_host_without_apt_is_pointed_to_an_image_of_its_own(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="Debian or Ubuntu") as caught:
        await Images(paths).build("appliance")
    assert "an image of your own" in caught.value.hint


async def test_a_cancelled_build_leaves_nothing(apt: Path, paths: Paths, tmp_path: Path) -> None:
    pipe = tmp_path / "started"
    os.mkfifo(pipe)
    waits = f'echo $$ > "{pipe}"; exec sleep 1000'
    program(apt / "apt-get", f'#!/bin/sh\ncase "$*" in *print-uris*) exit 0;; esac\n{waits}\n')
    building = asyncio.create_task(Images(paths).build("appliance"))
    pid = int(await asyncio.to_thread(pipe.read_text))
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert leftovers(paths) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_what_a_killed_build_has_left_goes_with_the_next(apt: Path, paths: Paths) -> None:
    (paths.images / ".building-dead/out").mkdir(parents=True)
    program(apt / "apt-get", "#!/bin/sh\nexit 1\n")
    with pytest.raises(HostError):
        await Images(paths).build("appliance")
    assert leftovers(paths) == []


def leftovers(paths: Paths) -> list[str]:
    return [path.name for path in paths.images.iterdir() if path.name != ".lock"]


# -- the library ------------------------------------------------------------


def made(paths: Paths, name: str, *files: str, **more: str) -> None:
    directory = paths.images / name
    directory.mkdir(parents=True)
    for file in files:
        (directory / file).write_bytes(b"content")
    manifest = {"name": name, "built": "2026-01-01T00:00:00+00:00", "kernel": "6.1", "ready": "up"}
    digests = {"files": dict.fromkeys(files, "00")}
    (directory / "image.yaml").write_text(yaml.safe_dump(manifest | digests | more))


def test_a_reference_leads_to_a_file(paths: Paths) -> None:
    made(paths, "appliance", "vmlinuz", "initrd")
    made(paths, "debian-12", "disk.qcow2")
    (paths.images / "mine.raw").write_bytes(b"")
    images = Images(paths)
    assert images.resolve("appliance/initrd") == paths.images / "appliance/initrd"
    assert images.resolve("debian-12") == paths.images / "debian-12/disk.qcow2"
    assert images.resolve("mine.raw") == paths.images / "mine.raw"
    assert images.resolve(str(paths.images / "mine.raw")) == paths.images / "mine.raw"
    assert [image.name for image in images.list()] == ["appliance", "debian-12"]
    image = images.get("appliance")
    assert image
    assert (image.kernel, image.ready, image.size) == ("6.1", "up", 14)


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("appliance/vmlinuz", "workstation images build appliance"),
        ("appliance", "workstation images build appliance"),
        ("windows-11", "workstation images add FILE --name windows-11"),
        ("debian-12", "workstation images pull debian-12"),
        ("my-own", "put a file of your own at"),
        ("/nowhere/disk.raw", "check the path"),
        ("two", "one of: two/a, two/b"),
        ("two/..", "put a file of your own at"),
    ],
)
def test_a_reference_to_nothing_says_how_to_get_it(paths: Paths, ref: str, hint: str) -> None:
    made(paths, "two", "a", "b")
    with pytest.raises(NotFoundError) as caught:
        Images(paths).resolve(ref)
    assert hint in caught.value.hint


def test_a_damaged_manifest_is_an_error_in_words(paths: Paths) -> None:
    made(paths, "appliance", "vmlinuz")
    (paths.images / "appliance/image.yaml").write_text("[half")
    with pytest.raises(InvalidError) as caught:
        Images(paths).get("appliance")
    assert "workstation images remove appliance" in caught.value.hint


async def test_there_are_recipes_and_only_those_are_built(paths: Paths) -> None:
    images = Images(paths)
    assert images.recipes() == ["appliance", "debian"]
    assert load_recipe(shipped("images"), "appliance").ready == "appliance ready"
    for name in ("nonsense", "../images/appliance"):
        with pytest.raises(NotFoundError, match="no recipe"):
            await images.build(name)


async def test_an_image_of_another_recipe_is_built_anew_where_that_can_be_done(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def build(images: Images, name: str, progress: object) -> Image:
        asked.append(name)
        if len(asked) > 1:
            raise HostError("no archive can be reached")
        return await asyncio.to_thread(read, paths.images / "current/image.yaml")

    monkeypatch.setattr(Images, "build", build)
    now = fingerprint(shipped("images"), "appliance")
    made(paths, "appliance", "vmlinuz", recipe="of last year")
    made(paths, "current", "vmlinuz", recipe=now)
    images = Images(paths)
    assert (await images.ensure("appliance")).recipe == now
    assert (await images.ensure("appliance")).recipe == "of last year"
    shutil.rmtree(paths.images / "appliance")
    with pytest.raises(HostError):
        await images.ensure("appliance")
    made(paths, "appliance", "vmlinuz", recipe=now)
    assert (await images.ensure("appliance")).name == "appliance"
    assert len(asked) == 3


def test_a_recipe_is_another_one_when_any_of_its_files_is(tmp_path: Path) -> None:
    (tmp_path / "one/etc").mkdir(parents=True)
    seen = set()
    for text in ("a", "b"):
        (tmp_path / "one/etc/motd").write_text(text)
        seen.add(fingerprint(tmp_path, "one"))
    (tmp_path / "one/etc/motd").rename(tmp_path / "one/etc/issue")
    seen.add(fingerprint(tmp_path, "one"))
    assert len(seen) == 3
    assert fingerprint(tmp_path, "one") in seen


def test_the_core_loads_without_what_only_a_download_needs() -> None:
    heavy = "httpx", "zstandard"
    look = f"print([m for m in {heavy} if m in sys.modules])"
    words = f"import sys, workstation.core.workstation; {look}"
    run = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_library_loads_without_what_only_a_build_needs() -> None:
    heavy = "pydantic", "asyncio", "yaml", "workstation.core.imaging"
    words = f"import sys, workstation.core.images; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"

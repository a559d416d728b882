"""Bundles of strangers: well signed, and made to reach what is not theirs. THREATS that concern
them, each with a sentinel that must never appear."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.bundles import NOW, described, manifest
from tests.conftest import tiny
from workstation.core.bundle import tape
from workstation.core.bundle.importing import Words
from workstation.core.bundle.origin import may_load
from workstation.core.bundle.reader import open_bundle
from workstation.core.bundle.writer import BundleWriter
from workstation.core.workstation import Workstation
from workstation.errors import InvalidError, UsageError, WorkstationError
from workstation.model.bundle import Manifest, StoredLayer
from workstation.model.layer import Layer, LayerFile, Memory
from workstation.model.profile import Profile

SENTINEL = b"sentinel-of-this-host-0815"


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    """A file of the host that nobody else may see."""
    file = tmp_path / "secret"
    file.write_bytes(SENTINEL * 1000)
    file.chmod(0o600)
    return file


def everything(directory: Path) -> bytes:
    """The content of all files below a directory."""
    return b"".join(file.read_bytes() for file in directory.rglob("*") if file.is_file())


def image(tmp_path: Path, *options: str, size: str = "8M") -> bytes:
    """A qcow2 that qemu-img makes with those options."""
    file = tmp_path / "made.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *options, str(file), size]
    subprocess.run(command, check=True)
    data = file.read_bytes()
    file.unlink()
    return data


def bundle(
    file: Path,
    data: bytes,
    *,
    profile: Profile | None = None,
    change: Callable[[Manifest], Manifest] = lambda made: made,
    memory: bytes = b"",
    memory_name: str = "memory",
    key: Ed25519PrivateKey | None = None,
) -> None:
    """A bundle with one layer of one drive, signed by a stranger."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        writer = BundleWriter.begin(descriptor, "00000000000000b1")
        identity = "00000000000000aa"
        name = "drive0.qcow2"
        files = [described(name, data, writer.add(tape.file_name(identity, name), data))]
        needs = None
        if memory:
            offset = writer.add(tape.file_name(identity, memory_name), memory)
            files.append(described(memory_name, memory, offset))
            needs = Memory(
                name=memory_name,
                machine_type="pc-q35-7.2", cpu_model="Nehalem-v1", accelerator="tcg",
                qemu_version=(7, 2, 0),
            )  # fmt: skip
        layer = Layer(
            id=identity,
            created=NOW,
            profile=profile or tiny(drives=[{"size": "8 MiB"}]),
            drives={"drive0": LayerFile(name=name)},
            memory=needs,
        )
        made = manifest(StoredLayer(layer=layer, files=tuple(files)))
        if memory:
            machine = made.machine.model_copy(update={"resume": True})
            made = made.model_copy(update={"machine": machine})
        writer.seal(change(made), key or Ed25519PrivateKey.generate())
    finally:
        os.close(descriptor)


async def refused(station: Workstation, file: Path) -> str:
    """What was said of a bundle that was not imported, and has left nothing."""
    with pytest.raises(WorkstationError) as caught:
        await station.carry.import_file(file)
    assert os.listdir(station.paths.machines) == []
    assert not station.paths.layers.exists() or os.listdir(station.paths.layers) == []
    assert SENTINEL not in everything(station.paths.data)
    return str(caught.value)


@pytest.mark.parametrize(
    "kind", ["backing", "json backing", "data file", "encrypted", "huge", "raw"]
)
async def test_an_image_that_reaches_elsewhere_is_refused(
    station: Workstation, tmp_path: Path, sentinel: Path, kind: str
) -> None:
    if kind == "backing":
        data = image(tmp_path, "-b", str(sentinel), "-F", "raw")
    elif kind == "json backing":
        name = f'json:{{"driver":"file","filename":"{sentinel}"}}'
        data = image(tmp_path, "-u", "-b", name, "-F", "raw")
    elif kind == "data file":
        data = image(tmp_path, "-o", f"data_file={tmp_path / 'data'}")
        (tmp_path / "data").unlink()
    elif kind == "encrypted":
        data = image(tmp_path)
        data = data[:32] + (2).to_bytes(4, "big") + data[36:]  # LUKS
    elif kind == "huge":
        data = image(tmp_path)
        data = data[:24] + (2**62).to_bytes(8, "big") + data[32:]
    else:
        data = b"no image at all" * 1000
    file = tmp_path / "one.vmbundle"
    bundle(file, data)
    before = sentinel.read_bytes()
    await refused(station, file)
    assert sentinel.read_bytes() == before


async def test_a_profile_that_reaches_into_the_host_is_stripped_and_that_is_said(
    station: Workstation, tmp_path: Path, sentinel: Path
) -> None:
    profile = tiny(
        drives=[{"size": "8 MiB", "image": str(sentinel)}],
        cdroms=[{"image": str(sentinel)}],
        shares=[{"path": str(tmp_path), "tag": "all", "writable": True}],
        machine={"gdb": True},
        networks=[
            {"forwards": ["0.0.0.0:18080:80"]},
            *({"mode": mode, "name": "lab"} for mode in ("private", "bridge", "tap")),
        ],
        usb=["046d:c52b"],
    )
    file = tmp_path / "one.vmbundle"
    bundle(file, image(tmp_path), profile=profile)
    came = await station.carry.import_file(file)
    said = " ".join(came.said)
    for word in ("share “all”", "CD drive 1", "18080", "gdb", "private network", "046d:c52b"):
        assert word in said
    layer = station.layers.store.read(station.layers.names_of("one").head.layer or "")
    definition = station.machine("one").definition
    assert definition
    for found in (definition.profile, layer.profile):
        assert (found.shares, found.cdroms[0].image, found.drives[0].image) == ((), None, None)
        assert found.networks[0].forwards[0].address == "127.0.0.1"
        assert not found.machine.gdb
        assert {network.mode for network in found.networks[1:]} == {"none"}
        assert found.usb == ()
    await station.start("one")
    await station.layers.revert("one", "here", discard=True)
    argv = station.paths.machine("one").run.read_text()
    assert str(sentinel) not in argv
    assert "0.0.0.0" not in argv
    await station.kill("one")
    assert SENTINEL not in everything(station.paths.data)


@pytest.mark.parametrize(
    "kernel", [{"kernel": "/etc/passwd"}, {"kernel": "/etc/passwd", "initrd": "/etc/shadow"}]
)
async def test_a_kernel_of_the_host_is_not_booted(
    station: Workstation, tmp_path: Path, kernel: dict[str, str]
) -> None:
    file = tmp_path / "one.vmbundle"
    bundle(file, image(tmp_path), profile=tiny(drives=[{"size": "8 MiB"}], boot=kernel))
    assert "boots a kernel" in await refused(station, file)


async def test_a_drive_without_a_disk_is_refused(station: Workstation, tmp_path: Path) -> None:
    file = tmp_path / "one.vmbundle"
    two = tiny(drives=[{"size": "8 MiB"}, {"size": "8 MiB"}])
    bundle(file, image(tmp_path), profile=two)
    assert "no disk for drive1" in await refused(station, file)


def _renamed(name: str) -> Callable[[Manifest], Manifest]:
    def change(made: Manifest) -> Manifest:
        stored = made.layers[0]
        files = (stored.files[0].model_copy(update={"name": name}),)
        drives = {"drive0": stored.layer.drives["drive0"].model_copy(update={"name": name})}
        layer = stored.layer.model_copy(update={"drives": drives})
        changed = stored.model_copy(update={"files": files, "layer": layer})
        return made.model_copy(update={"layers": (changed,)})

    return change


NAMES = (
    "../../machines/evil", "/tmp/evil", "tpm/../../evil", "layer.json", "digests.json",
    "origin.json", "link.json", ".hidden", "a:b", "json:{}", "x" * 200, "tpm/a/b", "", "a\0b",
)  # fmt: skip


async def test_a_file_lies_in_its_layer_and_nowhere_else(
    station: Workstation, tmp_path: Path
) -> None:
    file, data = tmp_path / "one.vmbundle", image(tmp_path)
    for name in NAMES:
        bundle(file, data, change=_renamed(name))
        await refused(station, file)


def _machine(**update: object) -> Callable[[Manifest], Manifest]:
    return lambda made: made.model_copy(update={"machine": made.machine.model_copy(update=update)})


IMPOSSIBLE = (
    _machine(name="../evil"),
    _machine(name="x" * 300),
    _machine(snapshots={"../evil": "00000000000000aa"}),
    _machine(snapshots={"here": "../../evil"}),
    _machine(top="00000000000000ff"),
    _machine(top="../evil"),
    _machine(golden="nowhere"),
    _machine(based_on="\x1b[31m"),
    lambda made: made.model_copy(update={"id": "00000000000000b2"}),
    lambda made: made.model_copy(update={"layers": made.layers * 2}),
    lambda made: made.model_copy(update={"program": "\x1b]52;c;evil\x07"}),
    lambda made: made.model_copy(update={"format": 2}),
)


async def test_a_manifest_that_says_the_impossible_is_refused(
    station: Workstation, tmp_path: Path
) -> None:
    file, data = tmp_path / "one.vmbundle", image(tmp_path)
    for change in IMPOSSIBLE:
        bundle(file, data, change=change)
        await refused(station, file)


def test_a_manifest_of_great_depth_or_size_is_refused_quickly(tmp_path: Path) -> None:
    from workstation.core.bundle.reader import parse_manifest

    for text in (b"[" * 10**6, b'{"machine":' * 10**5, b'{"a":1}', b"\xff\xfe", b"null", b"1e999"):
        with pytest.raises(InvalidError):
            parse_manifest(text, tmp_path)


@pytest.mark.parametrize("kind", [b"1", b"2", b"S", b"x", b"L", b"5", b"3"])
def test_links_sparse_files_and_extensions_are_no_members(tmp_path: Path, kind: bytes) -> None:
    """Not even with a checksum that is right."""
    file = tmp_path / "one.vmbundle"
    bundle(file, image(tmp_path))
    data = bytearray(file.read_bytes())
    data[1024 + 156 : 1024 + 157] = kind
    data[1024 + 148 : 1024 + 156] = b" " * 8
    checksum = sum(data[1024:1536])
    data[1024 + 148 : 1024 + 156] = f"{checksum:06o}\0 ".encode()
    file.write_bytes(data)
    from workstation.core.bundle.verify import check_structure

    with pytest.raises(InvalidError):
        check_structure(open_bundle(file))


def test_a_frame_gives_no_more_than_it_may(tmp_path: Path) -> None:
    """Of a small frame that unpacks to a gigabyte, nothing is unpacked."""
    import zstandard

    from workstation.core.bundle.verify import _unpacked

    bomb = zstandard.ZstdCompressor().compress(bytes(2**28))
    assert len(bomb) < 2**16
    assert _unpacked(memoryview(bomb), 4096) == b""
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(2**28))
    assert _unpacked(memoryview(unsized), 4096) == b""
    assert _unpacked(memoryview(b"nothing of the kind"), 4096) == b""


# -- a stranger's memory ------------------------------------------------------------------


async def test_a_strangers_memory_is_not_loaded(station: Workstation, tmp_path: Path) -> None:
    file = tmp_path / "one.vmbundle"
    bundle(file, image(tmp_path), memory=b"QEVM no memory at all")
    came = await station.carry.import_file(file)
    assert (came.resumes, came.distrusted, came.signer_name) == (False, True, "")
    await station.start("one")  # it would end if it took that memory
    await station.kill("one")
    await station.layers.revert("one", "here", discard=True)
    assert station.view("one").state.live
    warned = [one.text for one in station.log if "whom you do not trust" in one.text]
    assert warned
    await station.kill("one")


async def test_a_strangers_memory_is_loaded_where_the_person_types_who_it_is(
    station: Workstation, tmp_path: Path
) -> None:
    file = tmp_path / "one.vmbundle"
    bundle(file, image(tmp_path), memory=b"QEVM no memory at all")
    with pytest.raises(UsageError, match="was not signed by"):
        await station.carry.import_file(file, Words(load_memory="yes"))
    signer = open_bundle(file).signer
    came = await station.carry.import_file(file, Words(load_memory=signer))
    assert (came.resumes, came.distrusted) == (True, False)
    with pytest.raises(WorkstationError):  # QEMU takes it, and says that it is none
        await station.start("one")


async def test_memory_of_a_stranger_is_not_passed_on_under_ones_own_name(
    station: Workstation, tmp_path: Path
) -> None:
    file, other = tmp_path / "one.vmbundle", tmp_path / "other.vmbundle"
    bundle(file, image(tmp_path), memory=b"QEVM no memory at all")
    await station.carry.import_file(file)
    await station.carry.export("one", other)
    assert all(one.layer.memory is None for one in open_bundle(other).manifest.layers)
    assert b"no memory at all" not in other.read_bytes()


@pytest.mark.parametrize("name", ["memory", "mem"])
async def test_memory_that_a_stranger_brought_first_is_not_vouched_for(
    station: Workstation, tmp_path: Path, name: str
) -> None:
    """The same layer, and the same disk, with other memory: of somebody trusted, and not."""
    file, disk, key = tmp_path / "one.vmbundle", image(tmp_path), Ed25519PrivateKey.generate()
    bundle(file, disk, memory=b"the stranger's", memory_name=name)
    await station.carry.import_file(file)
    bundle(file, disk, memory=b"the friend's", key=key)
    station.carry.keys.add(open_bundle(file).signer, "friend")
    with pytest.raises(InvalidError, match="holds something else"):
        await station.carry.import_file(file)


async def test_what_a_stranger_brought_and_a_friend_signed_too_is_the_friends(
    station: Workstation, tmp_path: Path
) -> None:
    file, disk, key = tmp_path / "one.vmbundle", image(tmp_path), Ed25519PrivateKey.generate()
    bundle(file, disk, memory=b"the same")
    await station.carry.import_file(file)
    bundle(file, disk, memory=b"the same", key=key)
    station.carry.keys.add(open_bundle(file).signer, "friend")
    came = await station.carry.import_file(file)
    assert (came.shared, came.resumes) == (1, True)
    layer = station.layers.names_of(came.name).head.layer or ""
    assert may_load(station.layers.store, station.carry.keys, layer)

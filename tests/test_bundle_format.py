"""The container: listed by standard tools, whole or refused, and added to without risk."""

import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.bundles import content, manifest, write, write_layer
from workstation.core.bundle import seal, tape
from workstation.core.bundle.keys import Keys, as_fingerprint, fingerprint
from workstation.core.bundle.reader import open_bundle
from workstation.core.bundle.verify import check_all
from workstation.core.bundle.writer import BundleWriter
from workstation.errors import InvalidError, NotFoundError, UsageError
from workstation.model.bundle import BLOCK, CHUNK
from workstation.paths import Paths

DATA = (content(1, 3 * BLOCK), content(2, 1000))


def whole(file: Path) -> bool:
    try:
        check_all(open_bundle(file), lambda done: None)
    except InvalidError:
        return False
    return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "one.vmbundle"


def test_what_is_written_is_read(file: Path) -> None:
    key = Ed25519PrivateKey.generate()
    made = write(file, *DATA, key=key)
    bundle = open_bundle(file)
    assert bundle.manifest == made
    assert bundle.signer == fingerprint(key.public_key().public_bytes_raw().hex())
    assert not bundle.cut_off
    assert [layer.id for layer in bundle.chain(bundle.ids()[-1])] == bundle.ids()[::-1]
    assert whole(file)


def test_a_file_lies_where_its_extent_says_padded_with_zeros(file: Path) -> None:
    write(file, *DATA)
    bundle = open_bundle(file)
    extent = bundle.extent(bundle.ids()[1], "drive0.qcow2")
    assert extent.offset % BLOCK == 0
    assert extent.size == 2 * BLOCK
    raw = file.read_bytes()[extent.offset : extent.offset + extent.size]
    assert raw == DATA[1] + bytes(24)


def test_standard_tools_list_and_unpack_it(file: Path) -> None:
    write(file, *DATA)
    listed = subprocess.run(["tar", "-tf", file], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == [
        "bundle.json",
        "layers/0000000000000001/drive0.qcow2",
        "layers/0000000000000002/drive0.qcow2",
        "manifest.json",
        "seal.json",
    ]
    assert listed.stderr == ""
    with tarfile.open(file) as archive:
        member = archive.extractfile("layers/0000000000000001/drive0.qcow2")
        assert member
        assert member.read() == DATA[0]


def test_sizes_from_8_gib_on_have_a_header_too() -> None:
    for size in (8 * 2**30 - 1, 8 * 2**30, 2**40):
        block = tape.header("layers/0000000000000001/drive0.qcow2", size)
        member = tape.read_header(block, 1024)
        assert member == ("layers/0000000000000001/drive0.qcow2", 1536, size)


# -- damage -----------------------------------------------------------------------------


def test_every_changed_bit_of_a_small_bundle_is_noticed(file: Path) -> None:
    write(file, *DATA)
    good, chance = file.read_bytes(), random.Random(1)
    for at in range(0, len(good), 11):
        bad = bytearray(good)
        bad[at] ^= 1 << chance.randrange(8)
        file.write_bytes(bad)
        assert not whole(file), f"byte {at}"


def test_every_length_but_the_whole_is_noticed(file: Path) -> None:
    write(file, *DATA)
    good = file.read_bytes()
    for length in range(0, len(good), 37):
        file.write_bytes(good[:length])
        assert not whole(file), f"cut off after {length}"


def test_a_file_that_only_begins_like_a_bundle_is_none(file: Path) -> None:
    write(file, *DATA)
    newer = file.read_bytes().replace(b'{"format": 1,', b'{"format": 2,')
    file.write_bytes(newer)
    with pytest.raises(InvalidError, match="version that is not known"):
        open_bundle(file)
    file.write_bytes(b"")
    with pytest.raises(InvalidError, match="not a bundle"):
        open_bundle(file)
    with pytest.raises(NotFoundError):
        open_bundle(file.with_name("nothing"))


# -- adding -----------------------------------------------------------------------------


def add(file: Path, *, stop: int | None = None) -> None:
    """A third layer; `stop` gives up after that many bytes, as a full disk would."""
    bundle = open_bundle(file)
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.ftruncate(descriptor, bundle.end + 2 * BLOCK)
        writer = BundleWriter(descriptor, bundle.end)
        layer = write_layer(writer, 3, content(3, 5000))
        writer.seal(manifest(*bundle.manifest.layers, layer), Ed25519PrivateKey.generate())
    finally:
        os.close(descriptor)
    if stop is not None:
        os.truncate(file, bundle.end + stop)


def test_what_is_added_counts_and_the_rest_stays(file: Path) -> None:
    write(file, *DATA)
    before = file.read_bytes()
    add(file)
    bundle = open_bundle(file)
    assert len(bundle.ids()) == 3
    assert not bundle.cut_off
    assert whole(file)
    assert file.read_bytes()[: len(before) - 2 * BLOCK] == before[: -2 * BLOCK]


def test_an_addition_that_is_cut_off_leaves_what_was_there(file: Path) -> None:
    write(file, *DATA)
    original = file.read_bytes()
    add(file)
    long = file.stat().st_size - len(original)
    for stop in range(2 * BLOCK, long + 2 * BLOCK, 333):
        file.write_bytes(original)
        add(file, stop=stop)
        bundle = open_bundle(file)
        assert len(bundle.ids()) == 2, stop
        assert bundle.cut_off, stop
        add(file)
        assert whole(file), stop
        assert len(open_bundle(file).ids()) == 3, stop


def test_a_changed_bit_of_what_was_added_never_passes_for_it(file: Path) -> None:
    """Neither for what was there before: a broken seal is no addition that was cut off."""
    write(file, *DATA)
    end = open_bundle(file).end
    add(file)
    good = file.read_bytes()
    for at in range(end, len(good), 23):
        bad = bytearray(good)
        bad[at] ^= 4
        file.write_bytes(bad)
        assert not whole(file), at


def test_every_changed_bit_of_the_last_seal_is_damage(file: Path) -> None:
    write(file, *DATA)
    add(file)
    good = file.read_bytes()
    for at in range(len(good) - seal.ENDING, len(good)):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        file.write_bytes(bad)
        with pytest.raises(InvalidError, match=r"changed|not as it was written|not whole"):
            open_bundle(file)


# -- what a manifest may say --------------------------------------------------------------


def forged(file: Path, change: dict[str, object]) -> None:
    """A bundle, well signed, whose first file is described otherwise."""
    made = write(file, *DATA)
    layers = list(made.layers)
    stored = layers[0].files[0].model_copy(update=change)
    layers[0] = layers[0].model_copy(update={"files": (stored,)})
    bundle = open_bundle(file)
    descriptor = os.open(file, os.O_RDWR)
    try:
        writer = BundleWriter(descriptor, bundle.end)
        writer.seal(made.model_copy(update={"layers": tuple(layers)}), Ed25519PrivateKey.generate())
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../sentinel"},
        {"name": "/etc/sentinel"},
        {"name": "drive1.qcow2"},
        {"offset": 2**50},
        {"offset": 1},
        {"offset": 0},
        {"size": 2**45},
        {"digests": ""},
        {"form": "zstd"},
    ],
)
def test_a_signed_manifest_is_believed_nothing(file: Path, change: dict[str, object]) -> None:
    forged(file, change)
    with pytest.raises(InvalidError):
        open_bundle(file)


def test_a_manifest_that_points_elsewhere_is_noticed(file: Path) -> None:
    forged(file, {"offset": 5 * BLOCK})
    with pytest.raises(InvalidError):
        check_all(open_bundle(file), lambda done: None)


def test_chunks_are_verified_one_by_one(file: Path) -> None:
    write(file, content(1, CHUNK + 1000), *DATA[1:])
    assert whole(file)
    bad = bytearray(file.read_bytes())
    bad[4 * BLOCK + CHUNK] ^= 1
    file.write_bytes(bad)
    with pytest.raises(InvalidError, match=f"from byte {CHUNK} on"):
        check_all(open_bundle(file), lambda done: None)


# -- keys -------------------------------------------------------------------------------


def test_ones_own_key_is_made_once_and_private(paths: Paths) -> None:
    keys = Keys(paths)
    own = keys.own_fingerprint()
    assert keys.own_fingerprint() == own
    assert (paths.data / "key").stat().st_mode & 0o777 == 0o600
    assert keys.trusts(own)


def test_trust_is_given_and_taken(paths: Paths) -> None:
    keys, other = Keys(paths), fingerprint("ab" * 32)
    assert not keys.trusts(other)
    keys.add(other.upper().replace("-", " "), "Maria")
    assert keys.trusts(other)
    assert keys.name_of(other) == "Maria"
    assert keys.remove("Maria") == other
    assert not keys.trusts(other)
    with pytest.raises(NotFoundError):
        keys.remove(other)
    with pytest.raises(UsageError, match="no fingerprint"):
        keys.add("abcd-efgh", "")
    assert as_fingerprint("nothing") == ""

"""An encrypted bundle, run from where it lies: real guests, two laptops."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import tiny
from tests.laptops import at, demo, file, laptop, lose, other_home, trust
from tests.test_layers import recall, remember
from workstation.core.bundle import unlocked, verify
from workstation.core.bundle.export import Wish
from workstation.core.bundle.importing import Words
from workstation.core.bundle.unlocked import Keyring
from workstation.core.bundle.vault import Vault
from workstation.core.host import media
from workstation.core.workstation import Workstation
from workstation.errors import InvalidError, LockedError, UsageError
from workstation.model.host import Level
from workstation.model.machine import State
from workstation.qemu import luks

pytestmark = [pytest.mark.qemu]

__all__ = ["demo", "file", "laptop", "other_home"]

WORDS = "correct horse battery staple"


@pytest.fixture(autouse=True)
def nothing_at_hand() -> Iterator[None]:
    """Each test begins as after a log-in."""
    unlocked.forget_all()
    yield
    unlocked.forget_all()


@pytest.mark.usefixtures("demo")
async def test_an_encrypted_bundle_runs_where_it_lies(
    station: Workstation, laptop: Workstation, file: Path, tmp_path: Path
) -> None:
    """In another home, to its history, after a log-out, elsewhere, settled in, and back again."""
    await station.carry.export("one", file, Wish(passphrase=WORDS))
    trust(laptop, station)
    await lose(station)

    with pytest.raises(LockedError, match="its passphrase is needed"):
        await laptop.inplace.open(file)
    with pytest.raises(UsageError, match="not the bundle's passphrase"):
        await laptop.inplace.open(file, passphrase=WORDS + "r")
    assert not laptop.machines
    await laptop.inplace.open(file, passphrase=WORDS)
    await laptop.start("one")
    assert await recall(laptop, "one") == ("second", "second")
    assert await laptop.inplace.vigil.keep("one") == []
    bundle = laptop.carry.bundle(file)
    assert bundle.vault
    _shown_nowhere(laptop, bundle.vault)

    # What it has of the stick's is read where the stick is now.
    elsewhere = tmp_path / "other" / "one.vmbundle"
    elsewhere.parent.mkdir()
    file.rename(elsewhere)
    laptop.inplace.find_again("one", elsewhere)
    await laptop.layers.revert("one", "before", discard=True)
    assert await recall(laptop, "one") == ("first", "first")
    await remember(laptop, "one", "third")
    added = await laptop.carry.export("one", elsewhere)  # only what it lacks, encrypted too
    assert added.added < added.layers
    await laptop.carry.inspect(elsewhere, verify_all=True)

    await laptop.inplace.settle("one")
    _same_as_in(laptop, elsewhere)
    elsewhere.unlink()
    await remember(laptop, "one", "fourth")
    await laptop.kill("one")
    await laptop.start("one", force=True)
    assert laptop.view("one").state is State.RUNNING


def _shown_nowhere(laptop: Workstation, vault: Vault) -> None:
    """Neither the command line nor any file of the library has the key, or the passphrase."""
    secrets = [WORDS, vault.key.hex(), vault.disks.hex(), luks.secret(vault.disks)]
    pair = laptop.machine("one").pair()
    assert pair
    said = Path(f"/proc/{pair.qemu.pid}/cmdline").read_bytes()
    assert b"secret" in said
    places = [file for file in laptop.paths.data.rglob("*") if file.is_file()]
    for content in (said, *(place.read_bytes() for place in places)):
        assert not any(secret.encode() in content for secret in secrets)


def _same_as_in(laptop: Workstation, file: Path) -> None:
    """What has settled in is what the digests of the bundle say, and is encrypted no more."""
    bundle = laptop.carry.bundle(file)
    for layer, stored in bundle.manifest.files():
        here = laptop.layers.store.directory(layer) / stored.name
        if here.exists():
            assert here.stat().st_size == stored.size
            assert laptop.layers.store.digests(layer)[stored.name].digests == stored.digests


async def _disk_only(station: Workstation, file: Path) -> None:
    await station.create("one", tiny(drives=[{"size": "8 MiB"}]))
    await station.carry.export("one", file, Wish(passphrase=WORDS))
    await station.delete("one")


async def test_a_later_start_asks_again_after_a_log_out(
    station: Workstation, laptop: Workstation, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a disk: /tmp is memory on some systems, and what is kept there outlives `forget_all`.
    monkeypatch.setattr(media, "in_memory", lambda path: False)
    await _disk_only(station, file)
    await laptop.inplace.open(file, passphrase=WORDS)
    await laptop.start("one")
    await laptop.kill("one")
    unlocked.forget_all()
    with pytest.raises(LockedError) as raised:
        await laptop.start("one")
    assert raised.value.bundle == str(file)
    with pytest.raises(LockedError):
        await laptop.inplace.settle("one")
    laptop.carry.unlock(file, WORDS)
    await laptop.start("one")
    assert laptop.view("one").state is State.RUNNING
    await laptop.inplace.settle("one")
    await laptop.kill("one")
    file.unlink()
    unlocked.forget_all()
    await laptop.start("one")


async def test_a_key_is_kept_in_memory_only(tmp_path: Path) -> None:
    """A file system that is memory keeps it for the next command, and no other does."""
    vault = Vault.new()
    on_a_disk = Keyring(at(tmp_path))
    on_a_disk.keep("00000000000000b1", vault)
    assert not list(tmp_path.rglob("*b1"))
    unlocked.forget_all()
    assert on_a_disk.vault("00000000000000b1") is None

    memory = Path("/dev/shm") / tmp_path.name
    paths = at(tmp_path)
    paths.keys = memory / ".keys"
    memory.mkdir(mode=0o700)
    try:
        kept = Keyring(paths)
        kept.keep("00000000000000b1", vault)
        assert (paths.keys / "00000000000000b1").stat().st_mode & 0o777 == 0o600
        unlocked.forget_all()
        found = kept.vault("00000000000000b1")
        assert found and found.key == vault.key
        kept.forget("00000000000000b1")
        unlocked.forget_all()
        assert kept.vault("00000000000000b1") is None
    finally:
        shutil.rmtree(memory)


async def test_a_disk_that_was_changed_is_found_without_its_key(
    station: Workstation, laptop: Workstation, file: Path
) -> None:
    await _disk_only(station, file)
    bundle = laptop.carry.unlock(file, WORDS)
    (disk,) = [one for _, one in bundle.manifest.files() if one.form == "luks"]
    with file.open("r+b") as opened:
        opened.seek(disk.offset + 70_000)
        byte = opened.read(1)[0]
        opened.seek(disk.offset + 70_000)
        opened.write(bytes([byte ^ 1]))
    with verify.opened(bundle) as descriptor, pytest.raises(InvalidError, match="as it was writt"):
        verify.check_chunk(descriptor, verify.Piece(disk, 0))
    await laptop.inplace.open(file)
    (alarm,) = await laptop.inplace.vigil.keep("one")
    assert "not as it was written" in alarm
    with pytest.raises(InvalidError):
        await laptop.inplace.settle("one")
    with pytest.raises(InvalidError):
        await laptop.carry.import_file(file, Words(name="two"), passphrase=WORDS)


async def test_every_tool_that_reads_a_layer_reads_an_encrypted_one(
    station: Workstation, laptop: Workstation, file: Path, tmp_path: Path
) -> None:
    """qemu-img and a QEMU without a machine: check, flatten, squash, an independent clone."""
    await station.create("one", tiny(drives=[{"size": "8 MiB"}]))
    await station.layers.snapshot("one", "a")
    await station.layers.snapshot("one", "b")
    await station.carry.export("one", file, Wish(passphrase=WORDS))
    await laptop.inplace.open(file, passphrase=WORDS)
    assert [one for one in await laptop.layers.check() if one.level is Level.PROBLEM] == []
    await laptop.carry.export("one", tmp_path / "flat.vmbundle", Wish(flatten=True))
    await laptop.layers.clone("one", "two", full=True)
    await laptop.carry.export("one", tmp_path / "other.vmbundle", Wish(passphrase="x" * 8))
    file.unlink()
    await laptop.start("two")
    assert laptop.view("two").state is State.RUNNING
    assert (await laptop.carry.inspect(tmp_path / "flat.vmbundle", verify_all=True)).in_place
    other = tmp_path / "other.vmbundle"
    assert (await laptop.carry.inspect(other, verify_all=True, passphrase="x" * 8)).in_place

"""A stick that is really pulled out: a block device whose reads fail, and that comes back.

A loop device stands for the stick. Its backing file is cut to nothing, and the kernel answers EIO
to every read, as it does for a device that is gone; the same bytes come back as another device,
mounted elsewhere. It needs the right to mount, and is skipped where there is none.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import Shell, eventually
from tests.laptops import bundle, laptop, made, other_home, whole
from tests.test_layers import recall
from workstation.core.workstation import Workstation
from workstation.errors import NotFoundError
from workstation.model.machine import State

__all__ = ["bundle", "laptop", "made", "other_home"]

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("with_appliance")]


def _do(*words: str | Path) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


class Stick:
    """A file system in a file, as a block device."""

    def __init__(self, backing: Path, point: Path) -> None:
        self.backing, self.point, self._device = backing, point, ""

    def plug(self) -> None:
        self.point.mkdir(parents=True, exist_ok=True)
        self._device = _do("losetup", "--find", "--show", self.backing)
        _do("mount", self._device, self.point)

    def pull(self) -> None:
        """Its mount stays, as a real one does until the desktop has noticed."""
        os.truncate(self.backing, 0)

    def away(self) -> None:
        with suppress(subprocess.CalledProcessError):
            _do("umount", "--lazy", self.point)
        with suppress(subprocess.CalledProcessError):
            _do("losetup", "--detach", self._device)
        with suppress(OSError):
            self.point.rmdir()


@pytest.fixture
def stick(bundle: Path, tmp_path: Path) -> Iterator[Stick]:
    """With the bundle on it, mounted where a desktop would."""
    if os.geteuid() or not all(map(shutil.which, ("losetup", "mkfs.ext4", "mount"))):
        pytest.skip("only root may mount a stick of the test's own")
    try:
        point = Path(tempfile.mkdtemp(prefix="ws-", dir="/media"))
    except OSError:
        pytest.skip("/media cannot be written")
    found = Stick(tmp_path / "stick.img", point)
    with found.backing.open("xb") as file:
        file.truncate(bundle.stat().st_size + 2**26)
    try:
        _do("mkfs.ext4", "-q", found.backing)
        found.plug()
    except subprocess.CalledProcessError as error:
        found.away()
        pytest.skip(f"a loop device cannot be mounted here: {error.stderr}")
    shutil.copyfile(bundle, point / bundle.name)
    found.away()  # what was written is on the device, and nothing of it in the kernel's memory
    found.plug()
    bundle.unlink()
    try:
        yield found
    finally:
        found.away()


async def test_the_guest_waits_for_its_stick_and_goes_on(
    laptop: Workstation, stick: Stick, tmp_path: Path
) -> None:
    again = Stick(tmp_path / "again.img", stick.point.with_name(f"{stick.point.name}-again"))
    shutil.copyfile(stick.backing, again.backing)
    file = stick.point / "one.vmbundle"
    await laptop.inplace.open(file)
    await laptop.start("one")
    assert stick.point.name in laptop.view("one").reads
    stick.pull()
    with file.open("rb") as opened:  # the kernel keeps what it has read; a real guest needs more
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        async with Shell.on(laptop, "one") as shell:
            shell.type("md5sum </data/big >/dev/null && echo read'' it")
            await eventually(lambda: laptop.view("one").state is State.PAUSED)
            stick.away()
            laptop.machine("one").look()
            assert f"the stick “{stick.point.name}” with one.vmbundle is gone" in (
                laptop.view("one").reason
            )
            with pytest.raises(NotFoundError, match="is not there"):
                await laptop.resume("one")
            again.plug()
            await laptop.resume("one")
            assert await shell.run("echo on") == "on"
        assert await whole(laptop, "one")
        assert await recall(laptop, "one") == ("second", "second")
        await laptop.kill("one")
    finally:
        again.away()

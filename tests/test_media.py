"""Removable media: found, named and measured by what the kernel and udev say."""

from pathlib import Path

import pytest

from workstation.core.host import media
from workstation.errors import HostError

MOUNTINFO = """\
22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 8:17 / {media}/STICK\\040ONE rw,nosuid shared:9 - vfat /dev/sdb1 rw,fmask=0022
25 22 8:33 / {disk} ro,relatime - ext4 /dev/sdc1 ro
26 22 259:2 /srv {srv} rw,relatime - ext4 /dev/nvme0n1p2 rw
27 22 0:44 / /net rw - nfs4 server:/x rw
28 22 8:49 / /run/media/me/gone rw - exfat /dev/sdd1 rw
broken line
"""


@pytest.fixture
def host(tmp_path: Path) -> media.Host:
    stick, disk = tmp_path / "media" / "STICK ONE", tmp_path / "disk"
    for directory in (stick, disk):
        directory.mkdir(parents=True)
    devices = tmp_path / "devices"
    _block(devices / "pci0/usb1/1-2/block/sdb", "sdb1", removable="1")
    _block(devices / "pci0/usb1/1-3/block/sdc", "sdc1", removable="0")
    _block(devices / "pci0/nvme/nvme0n1", "nvme0n1p2", removable="0")
    blocks = tmp_path / "blocks"
    blocks.mkdir()
    for part in devices.rglob("partition"):
        (blocks / part.parent.name).symlink_to(part.parent)
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "STICK\\x20ONE").symlink_to("/dev/sdb1")
    (labels / "Daten\\xc3\\xa4").symlink_to("/dev/sdc1")
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(
        MOUNTINFO.format(media=tmp_path / "media", disk=disk, srv=tmp_path / "srv")
    )
    return media.Host(mountinfo, blocks, labels, _usage)


def _block(disk: Path, part: str, *, removable: str) -> None:
    (disk / part).mkdir(parents=True)
    (disk / "removable").write_text(f"{removable}\n")
    (disk / part / "partition").write_text("1\n")


def _usage(path: Path) -> tuple[int, int]:
    if path.name == "gone":
        raise OSError("it has been pulled out")
    return (3 * 2**30, 8 * 2**30)


def test_what_can_be_pulled_out_comes_first_with_its_name(host: media.Host) -> None:
    found = media.mounted(host)
    assert [(one.name, one.filesystem, one.removable, one.writable) for one in found] == [
        ("Datenä", "ext4", True, False),
        ("STICK ONE", "vfat", True, True),
        ("/", "ext4", False, True),
    ]
    assert found[1].free == 3 * 2**30


def test_a_file_is_on_the_innermost_medium(host: media.Host, tmp_path: Path) -> None:
    stick = media.medium_of(tmp_path / "media" / "STICK ONE" / "new" / "a.vmbundle", host)
    assert stick
    assert stick.device == "/dev/sdb1"
    inside = media.medium_of(tmp_path / "elsewhere", host)
    assert inside
    assert inside.path == Path("/")


def test_fat_takes_no_file_of_four_gib_and_says_what_to_do(
    host: media.Host, tmp_path: Path
) -> None:
    target = tmp_path / "media" / "STICK ONE" / "a.vmbundle"
    media.check_fits(target, 2**32 - 1, host)
    media.check_fits(tmp_path / "disk" / "a.vmbundle", 2**40, host)
    with pytest.raises(HostError, match="may have 4 GiB") as refused:
        media.check_fits(target, 2**32, host)
    assert "--compress" in refused.value.hint
    assert "exFAT" in refused.value.hint


def test_without_proc_there_are_no_media(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    assert media.mounted(media.Host(nothing, nothing, nothing, _usage)) == []


def test_this_computer_can_be_asked() -> None:
    for medium in media.mounted():
        assert medium.size >= medium.free >= 0

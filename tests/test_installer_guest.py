"""Answers of a person's own reach what reads them: installers' files in the guest, bit by bit.

Debian's real installer, as Debian packages it, boots and reads a preseed file. Of Ignition,
kickstart and autoinstall a real Linux shows that they are where their readers look (Ignition's
documentation: fw_cfg `opt/com.coreos/config`; Anaconda's: a volume OEMDRV with ks.cfg; Ubuntu's:
a NoCloud volume cidata with user-data).
"""

import json
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ENVIRON, tiny
from tests.test_debian_guest import PATIENCE, Root, debian
from workstation.core.workstation import Workstation
from workstation.paths import Paths

pytestmark = [pytest.mark.qemu, pytest.mark.long, pytest.mark.timeout(1800)]

PACKAGE = "debian-installer-12-netboot-amd64"
INSIDE = "usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64"


@pytest.fixture(scope="session")
def installer() -> Path:
    """Its kernel and initrd, by apt: once, into this user's cache."""
    place = Paths.from_environment(ENVIRON).cache / "packages" / PACKAGE
    if not (place / INSIDE / "initrd.gz").exists():
        place.mkdir(parents=True, exist_ok=True)
        call = ["apt-get", "download", PACKAGE]
        if subprocess.run(call, cwd=place, capture_output=True, timeout=600).returncode:
            pytest.skip(f"apt-get has no {PACKAGE}")
        (archive,) = place.glob("*.deb")
        subprocess.run(["dpkg-deb", "--extract", archive, place], check=True)
        archive.unlink()
    return place / INSIDE


async def test_debians_installer_reads_a_preseed_file(
    station: Workstation, installer: Path, home: Path
) -> None:
    (home / "shop.cfg").write_text(
        "d-i debian-installer/locale string en_US\n"
        "d-i keyboard-configuration/xkb-keymap select us\n"
        "d-i preseed/early_command string echo the-answers-have-been-read-$((40+2)) >/dev/ttyS0\n"
    )
    boot = {
        "kernel": str(installer / "linux"),
        "initrd": str(installer / "initrd.gz"),
        "command_line": "console=ttyS0 auto=true priority=critical no_timer_check",
    }
    answers = {"kind": "preseed", "path": "~/shop.cfg"}
    profile = tiny(boot=boot, memory="512 MiB", provision={"answers": answers})
    await station.create("one", profile)
    await station.start("one", force=True)
    await station.wait_text("one", "the-answers-have-been-read-42", timeout=PATIENCE)
    await station.kill("one")


async def with_answers(station: Workstation, home: Path, kind: str, content: str) -> None:
    (home / "answers").write_text(content)
    provision = {"answers": {"kind": kind, "path": "~/answers"}}
    # An agent that answers, and a text that is awaited, would be taken for those of what was
    # installed.
    profile = debian(provision=provision, devices={"agent": False}, ready="")
    await station.create("d", profile)
    await station.start("d", force=True)
    await station.wait_text("d", "login:", timeout=PATIENCE)


VOLUME = "mount -o ro /dev/disk/by-label/{} /mnt && cat /mnt/{}; umount /mnt"
CONFIG = "modprobe qemu_fw_cfg; cat /sys/firmware/qemu_fw_cfg/by_name/opt/com.coreos/config/raw"

IGNITION = json.dumps({"ignition": {"version": "3.4.0"}, "storage": {"files": []}})
KICKSTART = "text\nlang en_US.UTF-8\nrootpw --lock\n"
AUTOINSTALL = "#cloud-config\nautoinstall:\n  version: 1\n"


@pytest.mark.usefixtures("with_debian")
@pytest.mark.parametrize(
    ("kind", "content", "look"),
    [
        ("ignition", IGNITION, CONFIG),
        ("kickstart", KICKSTART, VOLUME.format("OEMDRV", "ks.cfg")),
        ("autoinstall", AUTOINSTALL, VOLUME.format("cidata", "user-data")),
    ],
)
async def test_answers_are_where_their_reader_looks(
    station: Workstation, home: Path, kind: str, content: str, look: str
) -> None:
    await with_answers(station, home, kind, content)
    async with Root.on(station, "d") as shell:
        assert isinstance(shell, Root)
        await shell.log_in()
        assert (await shell.run(look, PATIENCE)).split() == content.split()
    # It is there until somebody says that it has done its work, and gone then.
    assert station.view("d").unfinished
    await station.guests.forget_setup("d")
    assert not station.paths.machine("d").seed.exists()
    await station.kill("d")

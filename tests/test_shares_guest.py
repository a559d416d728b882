"""A directory of this computer in a real guest, and what that means for its snapshots."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from tests.test_debian_guest import PATIENCE, Root, debian
from workstation.core.workstation import Workstation
from workstation.errors import NotAllowedError

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("with_debian"),
]


async def test_a_share_shows_a_file_and_is_put_away_for_a_snapshot(
    station: Workstation, home: Path
) -> None:
    docs, work = home / "docs", home / "work"
    for directory in (docs, work):
        directory.mkdir()
        (directory / "hello").write_text("from the host\n")
    shares = [
        {"path": str(docs), "tag": "docs", "mode": "9p"},
        {"path": str(work), "tag": "work", "mode": "9p", "writable": True},
    ]
    await station.create("d", debian(shares=shares, cpu={"cores": 1}))
    await station.start("d", force=True)
    await station.wait_ready("d", timeout=PATIENCE)
    async with Root.on(station, "d") as shell:
        assert isinstance(shell, Root)
        await shell.log_in()
        mount = "mkdir -p /mnt/{0} && mount -t 9p -o trans=virtio {0} /mnt/{0}"
        await shell.run(mount.format("docs"), PATIENCE)
        await shell.run(mount.format("work"), PATIENCE)
        assert await shell.run("cat /mnt/docs/hello") == "from the host"
        assert "Read-only" in await shell.run("touch /mnt/docs/new 2>&1")
        await shell.run("echo back >/mnt/work/new; sync", PATIENCE)
        assert await asyncio.to_thread((work / "new").read_text) == "back\n"
        assert not (docs / "new").exists()

        # Without an agent nobody unmounts them: the snapshot is refused, and says the way out.
        await shell.run("systemctl stop qemu-guest-agent", PATIENCE)
        for attempt in (station.layers.snapshot("d", "a"), station.layers.suspend("d")):
            with pytest.raises(NotAllowedError, match="while a share is in use") as caught:
                await attempt
            assert "umount" in caught.value.hint
        assert station.view("d").state == "running"
        # While it runs a disk grows, and its guest sees that.
        await station.changes.set("d", ["drives[0].size=7 GiB"])
        size = "cat /sys/block/vda/size"
        assert int(await shell.run(size, PATIENCE)) * 512 == 7 * 2**30
        await station.layers.snapshot("d", "disks", memory=False)

        # With one they are away for that moment.
        await shell.run("systemctl start qemu-guest-agent", PATIENCE)
        await station.guests.wait_for("d", "agent", timeout=PATIENCE)
        await shell.run("cd /mnt/work", PATIENCE)
        with pytest.raises(NotAllowedError, match="uses the share “work”"):
            await station.layers.snapshot("d", "a")
        await shell.run("cd /", PATIENCE)
        await station.layers.snapshot("d", "a")
        assert await shell.run("cat /mnt/docs/hello /mnt/work/new") == "from the host\nback"
        assert "Read-only" in await shell.run("touch /mnt/docs/new 2>&1")
        # What is mounted at each boot is mounted after a resume.
        line = "docs /mnt/docs 9p nofail,ro,trans=virtio 0 0"
        await shell.run(f"echo '{line}' >>/etc/fstab", PATIENCE)
        await station.layers.suspend("d")
    await station.start("d", force=True)
    async with Root.on(station, "d") as shell:
        again = "until grep -q /mnt/docs /proc/mounts; do sleep 0.2; done; cat /mnt/docs/hello"
        assert await shell.run(again, PATIENCE) == "from the host"
    assert station.view("d").state == "running"


ADAPTER = """#!/bin/sh
# QEMU 7.2's own virtiofsd, called as the later one is; both locked in without namespaces.
[ "$1" != --help ] || exec {program} --help
case $({program} --help 2>&1) in
    *--shared-dir*) exec {program} "$@" --sandbox=chroot ;;
    *) exec {program} -o source="${{1#--shared-dir=}}" -o sandbox=chroot "$2" ;;
esac
"""


def a_virtiofsd(place: Path) -> bool:
    """One that is called as virtiofsd 1.10 is, at that place; whether there is any."""
    old = Path("/usr/lib/qemu/virtiofsd")
    if shutil.which("virtiofsd"):
        return True
    if os.geteuid() or not old.exists():  # the old one does not run for ordinary users
        return False
    place.mkdir()
    (place / "virtiofsd").write_text(ADAPTER.format(program=old))
    (place / "virtiofsd").chmod(0o755)
    return True


async def test_a_share_by_virtiofs(
    station: Workstation, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not a_virtiofsd(home / "programs"):
        pytest.skip("there is no virtiofsd that runs here")
    monkeypatch.setenv("PATH", f"{home / 'programs'}:{os.environ['PATH']}")
    work = home / "work"
    work.mkdir()
    (work / "hello").write_text("from the host\n")
    shares = [{"path": str(work), "tag": "work", "mode": "virtiofs", "writable": True}]
    await station.create("d", debian(shares=shares, cpu={"cores": 1}))
    await station.start("d", force=True)
    await station.wait_ready("d", timeout=PATIENCE)
    async with Root.on(station, "d") as shell:
        assert isinstance(shell, Root)
        await shell.log_in()
        await shell.run("mount -t virtiofs work /mnt", PATIENCE)
        assert await shell.run("cat /mnt/hello") == "from the host"
        await shell.run("echo back >/mnt/new; sync", PATIENCE)
        assert await asyncio.to_thread((work / "new").read_text) == "back\n"
        await station.layers.snapshot("d", "disks", memory=False)
        try:
            await station.layers.snapshot("d", "a")
        except NotAllowedError as error:
            assert "while a share is in use" in str(error) and "mode 9p" in error.hint
            await station.kill("d")
            return
    # A newer QEMU and virtiofsd: what the guest knows of, and is gone, does not cost its memory.
    (work / "hello").unlink()
    await station.layers.revert("d", "a", discard=True)
    async with Root.on(station, "d") as shell:
        assert (
            await shell.run("cat /mnt/new; cat /mnt/hello 2>/dev/null || echo lost") == "back\nlost"
        )
    await station.kill("d")

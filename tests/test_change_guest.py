"""A real Debian's hardware changes while it runs: disks, discs, CPUs, memory, and it notices."""

from pathlib import Path

import pytest

from tests.test_debian_guest import PATIENCE, Root, debian
from workstation.core.provision.disc import write_disc
from workstation.core.workstation import Workstation

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("with_debian"),
]

MIB = 2**20


async def test_its_hardware_changes_while_it_runs(station: Workstation, home: Path) -> None:
    for name in ("one", "two"):
        write_disc(home / f"{name}.iso", name.upper(), {"hello": f"from {name}\n".encode()})
    hardware = {
        "cpu": {"cores": 1, "most": 3},
        "cdroms": [{"image": str(home / "one.iso")}],
    }
    await station.create("d", debian(**hardware))
    await station.start("d", force=True)
    await station.wait_ready("d", timeout=PATIENCE)
    async with Root.on(station, "d") as shell:
        assert isinstance(shell, Root)
        await shell.log_in()
        await shell.run("dmesg -n 1")  # what the kernel says of a disc that is gone is no answer

        await shell.run("mount -o ro /dev/sr0 /mnt", PATIENCE)
        assert await shell.run("cat /mnt/hello") == "from one"
        await shell.run("umount /mnt", PATIENCE)
        await station.changes.set("d", [f"cdroms[0].image={home / 'two.iso'}"])
        again = "until mount -o ro /dev/sr0 /mnt 2>/dev/null; do sleep 0.5; done; cat /mnt/hello"
        assert await shell.run(again, PATIENCE) == "from two"
        await shell.run("umount /mnt", PATIENCE)
        await station.changes.set("d", ["cdroms[0].image=null"])
        assert "no medium" in await shell.run("mount -o ro /dev/sr0 /mnt 2>&1", PATIENCE)

        sees = 'until [ "$(cat /sys/block/{}/size 2>/dev/null)" = {} ]; do sleep 0.5; done'
        await station.changes.set("d", ["drives[1].size=64 MiB"])
        await shell.run(sees.format("vdb", 64 * MIB // 512), PATIENCE)
        made = "mke2fs -q /dev/vdb && mount /dev/vdb /mnt && echo kept >/mnt/word && cat /mnt/word"
        assert await shell.run(made, PATIENCE) == "kept"
        await station.changes.set("d", ["drives[1].size=128 MiB"])
        await shell.run(sees.format("vdb", 128 * MIB // 512), PATIENCE)
        grown = "resize2fs /dev/vdb >/dev/null 2>&1; df --output=size -m /mnt | tail -1"
        assert int(await shell.run(grown, PATIENCE)) > 100

        await station.changes.set("d", ["cpu.cores=2"])
        online = "/sys/devices/system/cpu/cpu1/online"
        await shell.run(f"until [ -e {online} ]; do sleep 0.5; done; echo 1 >{online}", PATIENCE)
        assert await shell.run("nproc") == "2"

        total = "awk '/MemTotal/ {print $2}' /proc/meminfo"
        before = int(await shell.run(total))
        await station.changes.set("d", ["memory=768 MiB"])
        less = f"until [ $({total}) -lt {before - 200_000} ]; do sleep 0.5; done"
        await shell.run(less, PATIENCE)

        # All of it is there after a snapshot of its memory, and after going back to that.
        await station.layers.snapshot("d", "a")
        await shell.run("echo lost >/mnt/word; sync", PATIENCE)
        await station.layers.revert("d", "a", discard=True)
    async with Root.on(station, "d") as shell:
        assert await shell.run("cat /mnt/word; nproc", PATIENCE) == "kept\n2"
    await station.kill("d")

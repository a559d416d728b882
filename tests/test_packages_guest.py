"""Packages and updates that a profile asks for come into a real guest, from an archive on loopback.

The guest has no way out but to this computer: 10.0.2.2 of its network is its loopback.
"""

from pathlib import Path

import pytest

from tests.debian_archive import served
from tests.test_debian_guest import PATIENCE, debian
from workstation.core.workstation import Workstation

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("with_debian"),
]


def file(path: str, content: str) -> dict[str, str]:
    return {"path": path, "content": content}


async def test_packages_are_installed_and_brought_up_to_date(
    station: Workstation, tmp_path: Path
) -> None:
    async with served(tmp_path, **{"shop-tools": "1.5", "netbase": "99.0"}) as web:
        port = web.address.rpartition(":")[2]
        archive = f"deb [trusted=yes] http://10.0.2.2:{port}/debian ./\n"
        provision = {
            "user": "maria",
            "packages": ["shop-tools"],
            "update": True,
            "files": [
                file("/etc/apt/sources.list", archive),
                # Else cloud-init writes Debian's own archives there, which cannot be reached.
                file("/etc/cloud/cloud.cfg.d/99_own.cfg", "apt: {preserve_sources_list: true}\n"),
            ],
        }
        await station.create("d", debian(provision=provision))
        await station.start("d", force=True)
        await station.wait_ready("d", timeout=PATIENCE)
        await station.guests.wait_for("d", "agent", timeout=PATIENCE)
        shown = "dpkg-query -W -f '${Package} ${Version} ${Status}\\n' shop-tools netbase"
        ran = await station.guests.run("d", ["sh", "-c", shown], timeout=PATIENCE)
        assert ran.out.decode().splitlines() == [
            "netbase 99.0 install ok installed",
            "shop-tools 1.5 install ok installed",
        ], ran
        said = await station.guests.run("d", ["cloud-init", "status", "--long"], timeout=PATIENCE)
        assert b"status: done" in said.out, said
    await station.kill("d")

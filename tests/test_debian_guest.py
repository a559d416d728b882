"""The Debian that is built here: booted from its own disk, by a BIOS, by UEFI, by Secure Boot."""

import asyncio
import re

import pytest

from tests.conftest import Shell
from workstation.core.workstation import Workstation
from workstation.model.profile import Profile

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("with_debian"),
]

PATIENCE = 600.0
"""Seconds for a boot without KVM on a busy host."""


def debian(**changes: object) -> Profile:
    basis: dict[str, object] = {
        "name": "debian",
        "memory": "1 GiB",
        "cpu": {"cores": 2},
        "drives": [{"image": "debian", "size": "6 GiB"}],
        "ready": "login:",
    }
    return Profile.model_validate(basis | changes)


class Root(Shell):
    """Root's shell on the serial line."""

    async def log_in(self) -> None:
        # A dumb terminal gets neither colours nor bracketed paste.
        self.type("root")
        async with asyncio.timeout(PATIENCE):
            await self._reader.readuntil(b"# ")
        self.type("export TERM=dumb; bind 'set enable-bracketed-paste off'; stty cols 500")


@pytest.mark.parametrize("firmware", ["bios", "uefi", "uefi-secure"])
async def test_it_boots_from_its_own_disk_and_is_a_whole_system(
    station: Workstation, firmware: str
) -> None:
    await station.create("d", debian(boot={"firmware": firmware}))
    await station.start("d")
    await station.wait_ready("d", timeout=PATIENCE)
    async with Root.on(station, "d") as shell:
        assert isinstance(shell, Root)
        await shell.log_in()
        assert "running" in await shell.run("systemctl is-system-running --wait", PATIENCE)
        assert await shell.run("systemctl --failed --no-legend --plain", PATIENCE) == ""
        # The root file system has grown to the drive.
        assert re.fullmatch(
            r"5\.\dG|6\.\dG", await shell.run("df -h --output=size / | tail -1 | tr -d ' '")
        )
        assert await shell.run("systemctl is-active ssh qemu-guest-agent") == "active\nactive"
        assert "10.0.2.15" in await shell.run("ip -4 -brief address")
        secure = "od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null || echo none"
        # Debian 13's firmware without Secure Boot has no such variable.
        expected = {"bios": {"none"}, "uefi": {"0", "none"}, "uefi-secure": {"1"}}
        assert (await shell.run(secure)).strip() in expected[firmware]
    await station.stop("d")

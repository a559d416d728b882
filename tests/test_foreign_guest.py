"""A whole system goes through an OVA: to another home of ours, and through virt-v2v."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import end_machines
from tests.test_debian_guest import PATIENCE, Root, debian
from tests.test_foreign_export import elsewhere
from workstation.core.workstation import Workstation

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("with_debian"),
]


@pytest.fixture
def far() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="wf-"))
    yield directory
    end_machines(directory)
    shutil.rmtree(directory, ignore_errors=True)


async def awake(station: Workstation, name: str) -> None:
    await station.start(name, force=True)
    await station.wait_text(name, "login:", timeout=PATIENCE)


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
async def test_a_debian_boots_in_another_home(
    station: Workstation, far: Path, firmware: str
) -> None:
    """Exported while it runs; what it has synced is there."""
    await station.create("d", debian(boot={"firmware": firmware}, display={"adapter": "none"}))
    await awake(station, "d")
    async with Root.on(station, "d") as shell:
        assert isinstance(shell, Root)
        await shell.log_in()
        await shell.run("echo remembered >/root/word; sync")
    await station.foreign.export("d", far / "d.ova", "ova")
    await station.kill("d")
    async with elsewhere(far) as there:
        made = await there.foreign.adopt(far / "d.ova")
        await awake(there, made.name)
        async with Root.on(there, made.name) as shell:
            assert isinstance(shell, Root)
            await shell.log_in()
            assert await shell.run("cat /root/word") == "remembered"
        await there.kill(made.name)


@pytest.mark.skipif(not shutil.which("virt-v2v"), reason="virt-v2v is not installed")
async def test_virt_v2v_converts_a_debian(station: Workstation, tmp_path: Path) -> None:
    """It opens our disks, knows the system again, and works in it.

    The Debian that is built here is small: it lacks grub-mkconfig, which virt-v2v asks for only
    when it has come that far.
    """
    await station.create("d", debian())
    await station.foreign.export("d", tmp_path / "d.ova", "ova")
    out = tmp_path / "out"
    out.mkdir()
    environ = os.environ | {
        "LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg",
    }  # fmt: skip
    words = ["virt-v2v", "-i", "ova", str(tmp_path / "d.ova"), "-o", "local", "-os", str(out)]
    done = await asyncio.to_thread(
        subprocess.run, words, capture_output=True, text=True, env=environ
    )
    said = done.stdout + done.stderr
    if "supermin exited" in said or "guestfs_launch failed" in said:
        pytest.skip("libguestfs cannot run here: it needs a kernel in /boot")
    assert "to run on KVM" in said, said
    if "nbdkit is not installed" in said or "nbdcopy command failed" in said:
        pytest.skip("virt-v2v has converted it, and lacks nbdkit or nbdcopy to write it")
    if done.returncode:
        assert "grub2-mkconfig" in said, said
    else:
        made = await station.foreign.adopt(out / "d.xml")
        await awake(station, made.name)

"""A whole system goes through an OVA: to another home of ours, and through virt-v2v."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ENVIRON, end_machines
from tests.test_debian_guest import PATIENCE, Root, debian
from tests.test_foreign_export import elsewhere
from workstation.core.imaging import packages
from workstation.core.imaging.recipe import Recipe, load_recipe
from workstation.core.workstation import Workstation
from workstation.paths import Paths, shipped

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


V2V = ("virt-v2v", "nbdkit", "nbdcopy")

IN_THERE = """
set -e
mount -t tmpfs none "$1"
mkdir "$1/up" "$1/work"
mount -t overlay none -o "lowerdir=/usr/lib,upperdir=$1/up,workdir=$1/work" /usr/lib
mkdir -p /usr/lib/modules
shift
exec "$@"
"""
"""supermin wants a /lib/modules, whatever it is told: for what runs here there is one."""


@pytest.fixture
async def libguestfs(far: Path) -> tuple[list[str], dict[str, str]]:
    """What goes before a command that uses it, and its environment.

    It boots a kernel of this computer. Where none is installed (in a container) it gets the one
    that the appliance is made of.
    """
    environ = os.environ | {
        "LIBGUESTFS_BACKEND": "direct",
        "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg",
        "LIBGUESTFS_CACHEDIR": str(far),
    }
    if Path("/lib/modules").is_dir() and any(Path("/boot").glob("vmlinuz-*")):
        return [], environ
    root, debs, kept = far / "root", far / "debs", Paths.from_environment(ENVIRON).cache
    debs.mkdir()
    recipe = load_recipe(shipped("images"), "appliance")
    assert isinstance(recipe, Recipe)
    await packages.fetch(recipe, debs, kept / "packages", lambda part: None)
    await packages.unpack(debs, root)
    if not (root / "lib").exists():  # Debian 13's packages are of a system with one /usr
        (root / "lib").symlink_to("usr/lib")
    [modules] = root.glob("lib/modules/*")
    version, depmod = modules.name, shutil.which("depmod", path="/usr/sbin:/sbin:/usr/bin")
    subprocess.run([depmod or "depmod", "-b", root, version], check=True)
    mine = [] if os.geteuid() == 0 else ["--map-root-user"]
    (far / "over").mkdir()
    before = ["unshare", "--mount", *mine, "sh", "-c", IN_THERE, "sh", str(far / "over")]
    return before, environ | {
        "SUPERMIN_KERNEL": str(root / f"boot/vmlinuz-{version}"),
        "SUPERMIN_KERNEL_VERSION": version,
        "SUPERMIN_MODULES": str(modules),
    }


@pytest.mark.skipif(
    not all(map(shutil.which, V2V)), reason=f"{', '.join(V2V)}: make setup-long installs them"
)
async def test_virt_v2v_converts_a_debian(
    station: Workstation, tmp_path: Path, libguestfs: tuple[list[str], dict[str, str]]
) -> None:
    """It opens our disks, knows the system again, works in it; what it makes boots here.

    The Debian that is built here is small: it lacks the program that writes GRUB's menu anew, and
    virt-v2v wants one.
    """
    await station.create("d", debian(display={"adapter": "none"}))
    await awake(station, "d")
    async with Root.on(station, "d") as shell:
        assert isinstance(shell, Root)
        await shell.log_in()
        await shell.run("echo remembered >/root/word", PATIENCE)
        await shell.run("ln -s /bin/true /usr/sbin/grub-mkconfig; sync", PATIENCE)
    await station.kill("d")
    await station.foreign.export("d", tmp_path / "d.ova", "ova")
    out = tmp_path / "out"
    out.mkdir()
    before, environ = libguestfs
    words = ["virt-v2v", "-i", "ova", str(tmp_path / "d.ova"), "-o", "local", "-os", str(out)]
    done = await asyncio.to_thread(
        subprocess.run, [*before, *words], capture_output=True, text=True, env=environ
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "to run on KVM" in said, said
    made = await station.foreign.adopt(out / "d.xml")
    await awake(station, made.name)
    async with Root.on(station, made.name) as shell:
        assert isinstance(shell, Root)
        await shell.log_in()
        assert await shell.run("cat /root/word") == "remembered"

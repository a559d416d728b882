"""What is around this computer changes, or is set up by an administrator: guests go along.

Each check runs in a namespace of its own (tests/outside.py), so that nothing here is touched.
"""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Shell
from tests.outside import CHECKS
from tests.test_guest import fetch, free_port, small
from workstation.core.workstation import Workstation
from workstation.qemu import passt

ROOT = Path(__file__).parent.parent
_APART = ("unshare", "--map-root-user", "--mount", "--net")


def _may_go_apart() -> bool:
    try:
        return not subprocess.run([*_APART, "true"], capture_output=True, timeout=30).returncode
    except OSError:
        return False


MARKS = {
    "connections_take_the_route_that_is_there": pytest.mark.long,
    "a_bridge_leads_to_its_other_ports": pytest.mark.long,
}

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(700), pytest.mark.usefixtures("with_appliance")]


@pytest.mark.skipif(not _may_go_apart(), reason="no namespaces of one's own are allowed here")
@pytest.mark.parametrize("check", [pytest.param(one, marks=MARKS.get(one, ())) for one in CHECKS])
async def test_in_a_world_of_its_own(check: str, environ: dict[str, str]) -> None:
    if "bridge" in check and not shutil.which("ip"):
        pytest.skip("a bridge is made by the program ip")
    call = [*_APART, sys.executable, "-m", "tests.outside", check]
    done = await asyncio.to_thread(
        subprocess.run, call, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=600
    )
    assert done.stdout.endswith("all is well\n"), f"{done.stdout}{done.stderr}"


@pytest.mark.long
async def test_passt_leads_in_and_out(station: Workstation) -> None:
    if why := passt.trouble(shutil.which("passt") or ""):
        pytest.skip(why)
    port = free_port()
    await station.create("one", small(networks=[{"mode": "passt", "forwards": [f"{port}:80"]}]))
    await station.start("one")
    await station.wait_ready("one")
    assert "<html" in await fetch(port)
    # The guest's router is this computer.
    async with await asyncio.start_server(_greet, "127.0.0.1", 0) as server:
        there = server.sockets[0].getsockname()[1]
        async with Shell.on(station, "one") as shell:
            router = "$(ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p')"
            assert await shell.run(f"wget -qO- http://{router}:{there}/") == "from the host"
    await station.kill("one")


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.0 200 OK\r\n\r\nfrom the host\n")
    writer.close()

"""What `workstation list` says is true at every moment, however little it looks at."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import tiny
from workstation.core.library import overview
from workstation.core.machine import condition
from workstation.core.workstation import Workstation
from workstation.model.machine import State
from workstation.paths import Paths
from workstation.roots import Roots


def states(environ: dict[str, str]) -> dict[str, str]:
    return {row["name"]: row["state"] for row in overview.rows(Roots(environ))}


def age(paths: Paths) -> None:
    """As if nothing had happened to the machines for a minute."""
    for directory in paths.machines.iterdir():
        then = directory.stat().st_mtime - 60
        os.utime(directory, (then, then))


async def test_machines_at_rest_are_not_looked_at_again(
    station: Workstation, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await station.create("one", tiny(tags=["web"]))
    age(station.paths)
    first = overview.rows(Roots(environ))
    assert first[0]["state"] == "created"
    assert first[0]["tags"] == ["web"]
    monkeypatch.setattr(condition, "condition", None)
    assert overview.rows(Roots(environ)) == first


async def test_what_has_only_just_changed_is_looked_at_again(
    station: Workstation, environ: dict[str, str]
) -> None:
    await station.create("one", tiny())
    assert states(environ) == {"one": "created"}
    known = json.loads(station.paths.index.read_text())
    assert "rest" not in known["machines"]["one"]


async def test_an_edit_and_a_deletion_show_at_once(
    station: Workstation, environ: dict[str, str]
) -> None:
    await station.create("one", tiny())
    await station.create("two", tiny())
    age(station.paths)
    assert len(overview.rows(Roots(environ))) == 2
    file = station.paths.machine("one").file
    file.write_text(file.read_text().replace("32 MiB", "64 MiB"))
    assert overview.rows(Roots(environ))[0]["memory"] == 64 << 20
    file.write_text(file.read_text().replace("memory:", "memroy:"))
    assert "memroy" in overview.rows(Roots(environ))[0]["problem"]
    await station.delete("one")
    assert states(environ) == {"two": "created"}


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"one": 3}', '{"format": 1, "one": {}}', "\ud800"]
)
async def test_a_broken_index_is_made_anew(
    station: Workstation, environ: dict[str, str], content: str
) -> None:
    await station.create("one", tiny())
    station.paths.index.write_bytes(content.encode(errors="surrogatepass"))
    assert states(environ) == {"one": "created"}


async def test_the_listing_loads_no_slow_module(
    station: Workstation, environ: dict[str, str]
) -> None:
    await station.create("one", tiny())
    age(station.paths)
    code = (
        "import sys; from workstation.cli import main; assert main(['list']) == 0;"
        " print(*sys.modules)"
    )
    printed = b""
    for _ in range(2):  # the second time everything is known
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, env=environ, stdout=subprocess.PIPE
        )
        printed, _ = await process.communicate()
    assert b"created" in printed
    slow = {"typing", "pathlib", "asyncio", "pydantic", "yaml", "qemu", "textual", "shutil"}
    assert not slow & set(printed.decode().split())


@pytest.mark.qemu
async def test_every_state_of_a_life_is_listed(
    station: Workstation, environ: dict[str, str]
) -> None:
    async def states_now() -> dict[str, str]:
        return await asyncio.to_thread(states, environ)

    await station.create("one", tiny())
    age(station.paths)
    assert await states_now() == {"one": "created"}
    await station.start("one")
    age(station.paths)
    assert await states_now() == {"one": "running"}
    await station.pause("one")
    assert await states_now() == {"one": "paused"}
    await station.kill("one")
    assert await states_now() == {"one": "off"}
    age(station.paths)
    assert await states_now() == {"one": "off"}
    await station.start("one")
    assert await states_now() == {"one": "running"}
    os.kill(station.view("one").pid or 0, signal.SIGKILL)
    await station.machine("one").until(lambda view: view.state is State.CRASHED)
    assert await states_now() == {"one": "crashed"}
    assert "SIGKILL" in (await asyncio.to_thread(overview.rows, Roots(environ)))[0]["reason"]

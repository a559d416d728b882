"""The command line with real QEMU: from create to delete, and interrupted in between."""

import asyncio
import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.terminal import Terminal
from tests.conftest import Shell, eventually
from workstation.cli import main
from workstation.core.workstation import Workstation
from workstation.paths import Paths

pytestmark = pytest.mark.qemu

ROOT = Path(__file__).parent.parent
PROGRAM = (sys.executable, "-m", "workstation")

TINY = "name: tiny\nmemory: 32 MiB\nnetworks: []\n"


def state(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    return str(rows[0]["state"]) if rows else ""


def test_a_machines_life_in_commands(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "tiny.yaml"
    profile.write_text(TINY)
    assert main(["create", "one", "-p", str(profile), "-s", "memory=48 MiB", "--start"]) == 0
    assert capsys.readouterr().out == "“one”: made\n“one”: running\n"
    for words, out, after in (
        (["pause", "one"], "“one”: paused\n", "paused"),
        (["resume", "one"], "“one”: running\n", "running"),
        (["reset", "one"], "“one”: reset\n", "running"),
        (["stop", "one", "--force"], "“one”: off\n", "off"),
        (["start", "one"], "“one”: running\n", "running"),
    ):
        assert main(words) == 0
        assert capsys.readouterr().out == out
        assert state(capsys) == after
    assert main(["show", "one", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["profile"]["memory"] in (48 << 20, "48 MiB")
    os.kill(shown["pid"], 0)
    assert main(["delete", "one", "--yes"]) == 6
    assert main(["logs", "one", "--qemu"]) == 0
    assert "qemu-system" in capsys.readouterr().out
    assert main(["stop", "one", "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "off"
    assert main(["delete", "one", "--yes"]) == 0
    assert state(capsys) == ""


def test_a_wait_in_vain_says_so_and_leaves_the_machine_running(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "tiny.yaml"
    profile.write_text(f"{TINY}ready: it will never say this\n")
    assert main(["create", "one", "-p", str(profile)]) == 0
    assert main(["start", "one", "--wait", "--timeout", "0.2"]) == 10
    assert "workstation console one" in capsys.readouterr().err
    assert state(capsys) == "running"


def test_an_interrupted_stop_leaves_the_machine_as_it_is(
    paths: Paths, environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "tiny.yaml"
    profile.write_text(TINY)
    # Firmware alone ignores the power button.
    assert main(["create", "one", "-p", str(profile), "--start"]) == 0
    with subprocess.Popen(
        [*PROGRAM, "stop", "one"], env=environ, cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as stopping:
        while state(capsys) != "stopping":
            assert stopping.poll() is None
        stopping.send_signal(signal.SIGINT)
        assert stopping.wait(20) == 130
        assert stopping.stderr
        assert stopping.stderr.read() == "workstation: interrupted\n"
    assert state(capsys) == "running"


@pytest.mark.usefixtures("with_appliance")
async def test_the_demo_says_how_to_reach_it_and_its_console_works(
    paths: Paths, environ: dict[str, str]
) -> None:
    def demo(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, "demo", *words], env=environ, cwd=ROOT, text=True, capture_output=True,
            stdin=subprocess.DEVNULL, timeout=100, check=False,
        )  # fmt: skip

    done = await asyncio.to_thread(demo, "--headless")
    assert done.returncode == 0, done.stderr
    assert "http://127.0.0.1:" in done.stdout
    assert "workstation console sales-demo" in done.stdout
    assert "waiting for the guest's shell" in done.stderr
    again = await asyncio.to_thread(demo, "--json")
    assert json.loads(again.stdout)["state"] == "running"
    async with Terminal.running([*PROGRAM, "demo"], environ) as terminal:
        await terminal.shows("MACHINES", "sales-demo", "running", seconds=60)
        terminal.press("q")
        await asyncio.to_thread(terminal.process.wait, 30)
    assert b"42\r\n" in await asyncio.to_thread(console, environ)
    async with (
        Workstation(paths, watch=False) as station,
        Shell.on(station, "sales-demo") as shell,
    ):
        assert await shell.run("echo alive") == "alive"
        shell.type("poweroff")
        await eventually(lambda: not station.view("sales-demo").state.live)


def console(environ: dict[str, str]) -> bytes:
    """What a person sees who asks the guest's shell for 6 * 7 and leaves."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(ROOT)
        os.execve(sys.executable, [*PROGRAM, "console", "sales-demo"], environ)
    seen, typed, end = b"", False, time.monotonic() + 60
    with contextlib.suppress(OSError):
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096)
            elif b"ctrl+]" in seen and not typed:
                os.write(terminal, b"\recho $((6 * 7))\r")
                typed = True
            if b"\n42\r\n" in seen:
                os.write(terminal, b"\x1d")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    os.close(terminal)
    return seen


@pytest.mark.usefixtures("with_appliance")
def test_an_interrupted_demo_is_one_line_and_goes_on_where_it_was(
    paths: Paths, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(
        [*PROGRAM, "demo"], env=environ, cwd=ROOT, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as making:  # fmt: skip
        assert making.stderr
        for line in making.stderr:
            if "waiting" in line:
                break
        making.send_signal(signal.SIGINT)
        assert making.wait(20) == 130
        assert making.stderr.read() == "workstation: interrupted\n"
    assert state(capsys) == "running"
    assert main(["demo", "--headless"]) == 0
    assert main(["stop", "sales-demo", "--force"]) == 0

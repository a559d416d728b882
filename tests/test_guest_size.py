"""The guest's size, told through its agent: a test is the agent."""

import asyncio
import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from workstation.core.serial import guest_size
from workstation.paths import MachinePaths, Paths


class FakeAgent:
    """Runs nothing, and says how it went."""

    def __init__(self, exitcode: int, *, refuses: bool = False, odd: bool = False) -> None:
        self.asked: list[dict[str, Any]] = []
        self.left = asyncio.Event()
        self._exitcode, self._refuses, self._odd = exitcode, refuses, odd

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            call = json.loads(line.lstrip(b"\xff"))
            self.asked.append(call)
            writer.write(b"\xff" + json.dumps(self._answer(call)).encode() + b"\n")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self.left.set()

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        match call["execute"]:
            case "guest-sync-delimited":
                return {"return": call["arguments"]["id"]}
            case "guest-exec" if self._refuses:
                return {"error": {"class": "CommandNotFound", "desc": "disabled"}}
            case "guest-exec":
                return {"return": ["odd"] if self._odd else {"pid": 7}}
        running = sum(one["execute"] == "guest-exec-status" for one in self.asked) < 3
        return {
            "return": {"exited": not running, **({} if running else {"exitcode": self._exitcode})}
        }


@pytest.fixture
def machine(paths: Paths) -> MachinePaths:
    machine = paths.machine("one")
    machine.runtime.mkdir(parents=True)
    return machine


async def told(machine: MachinePaths, agent: FakeAgent) -> bool:
    server = await asyncio.start_unix_server(agent.serve, str(machine.agent))
    async with server:
        knows = await guest_size.tell(machine, 100, 29)
        await agent.left.wait()
    return knows


async def test_the_agent_sets_the_serial_lines_size(machine: MachinePaths) -> None:
    agent = FakeAgent(0)
    assert await told(machine, agent)
    asked = next(call for call in agent.asked if call["execute"] == "guest-exec")
    script = asked["arguments"]["arg"][1]
    assert "stty -F /dev/ttyS0 rows 29 cols 100" in script
    assert "stty -F /dev/hvc0 rows 29 cols 100" in script


@pytest.mark.parametrize(("works", "code"), [("ttyS0", 0), ("hvc0", 0), ("ttyu0", 0), ("", 1)])
async def test_the_script_is_well_when_one_of_the_lines_took_it(
    machine: MachinePaths, tmp_path: Path, works: str, code: int
) -> None:
    """A real shell runs it; stty is another."""
    agent = FakeAgent(0)
    await told(machine, agent)
    asked = next(call for call in agent.asked if call["execute"] == "guest-exec")
    stty = tmp_path / "stty"
    stty.write_text(f'#!/bin/sh\n[ "$2" = "/dev/{works}" ] && echo "$@"\n')
    stty.chmod(0o755)
    argv = (asked["arguments"]["path"], *asked["arguments"]["arg"])
    done = subprocess.run(argv, env={"PATH": str(tmp_path)}, capture_output=True, check=False)
    assert done.returncode == code
    assert done.stdout.decode().strip().endswith("rows 29 cols 100" if works else "")


@pytest.mark.parametrize(
    "agent", [FakeAgent(1), FakeAgent(0, refuses=True), FakeAgent(0, odd=True)],
    ids=["failed", "refused", "odd"],
)  # fmt: skip
async def test_an_agent_that_does_not_is_no_trouble(
    machine: MachinePaths, agent: FakeAgent
) -> None:
    assert not await told(machine, agent)


async def test_without_an_agent_it_is_not_told(machine: MachinePaths) -> None:
    assert not await guest_size.tell(machine, 100, 29)

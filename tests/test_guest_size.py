"""The guest's size, told through its agent: a test is the agent."""

import asyncio
import contextlib
import json
from typing import Any

import pytest

from workstation.core import guest_size
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
    assert "stty -F /dev/ttyS0 rows 29 cols 100" in asked["arguments"]["arg"][1]


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

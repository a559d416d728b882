"""The guest's agent: one that answers, and all that a guest can send instead."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Shell
from tests.test_guest import boot, small
from workstation.core.guest import agent
from workstation.core.machine.machine import Machine
from workstation.core.workstation import Workstation
from workstation.errors import BusyError, MonitorError, WaitTimeoutError
from workstation.model.events import Event, Logged
from workstation.paths import MachinePaths

Answers = Callable[[dict[str, Any]], Awaitable[bytes]]
"""What a fake agent sends for a call."""


@pytest.fixture
def machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> MachinePaths:
    """The places of a machine whose agent is waited for only shortly."""
    monkeypatch.setattr(agent, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(agent, "ASKED_SECONDS", 0.5)
    monkeypatch.setattr(agent, "OPEN_SECONDS", 0.2)
    for name in ("data", "run"):
        (home / name).mkdir()
    return MachinePaths(home / "data", home / "run")


def line(value: object) -> bytes:
    return json.dumps({"return": value}).encode() + b"\n"


async def honest(call: dict[str, Any]) -> bytes:
    if call["execute"] == "guest-sync-delimited":
        return b"\xff" + line(call["arguments"]["id"])
    return line({})


@asynccontextmanager
async def fake(machine: MachinePaths, answers: Answers) -> AsyncIterator[list[dict[str, Any]]]:
    """An agent on the machine's socket; yields the calls that it got."""
    calls: list[dict[str, Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async for words in reader:
                calls.append(json.loads(words.lstrip(b"\xff")))
                writer.write(await answers(calls[-1]))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, str(machine.agent))
    async with server:
        yield calls


async def test_a_call_brings_what_the_agent_returns(machine: MachinePaths) -> None:
    async def answers(call: dict[str, Any]) -> bytes:
        return await honest(call) if call["execute"] != "guest-ping" else line({"a": [1]})

    async with fake(machine, answers) as calls, agent.talking(machine) as found:
        assert await found.execute("guest-ping", x=1) == {"a": [1]}
    assert calls[-1] == {"execute": "guest-ping", "arguments": {"x": 1}}


@pytest.mark.parametrize(
    "rubbish",
    [
        b'{"return": 1}\n',  # the answer to somebody else's number
        b'{"return": {"id": 5}}\n{"error": {"desc": "of an earlier client"}}\n',
        b"\xff\xfe\xc3\x28 no UTF-8\n",
        b"[]\n\n{}\nnull\n7\n",
        b'{"return": ',  # an answer that was cut off, without an end
        b"[" * 50_000 + b"\n",
        b"x" * 300_000 + b"\n",
    ],
    ids=["number", "older", "utf-8", "shapes", "cut", "deep", "long"],
)  # fmt: skip
async def test_what_comes_before_the_answer_is_thrown_away(
    machine: MachinePaths, rubbish: bytes
) -> None:
    async def answers(call: dict[str, Any]) -> bytes:
        before = rubbish if call["execute"] == "guest-sync-delimited" else b""
        return before + await honest(call)

    async with fake(machine, answers), agent.talking(machine) as found:
        assert await found.execute("guest-set-time", time=1) == {}


async def silence(call: dict[str, Any]) -> bytes:
    return b""


async def ten_megabytes(call: dict[str, Any]) -> bytes:
    return b"x" * 10_000_000


async def wrong_number(call: dict[str, Any]) -> bytes:
    return b"\xff" + line(-1)


@pytest.mark.parametrize("answers", [silence, ten_megabytes, wrong_number])
async def test_no_answer_is_waited_for_only_so_long(
    machine: MachinePaths, answers: Answers
) -> None:
    async with fake(machine, answers):
        with pytest.raises(WaitTimeoutError):
            async with agent.talking(machine):
                raise AssertionError("it was no answer")


async def test_an_endless_line_takes_no_memory(
    machine: MachinePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = 0
    feed = asyncio.StreamReader.feed_data

    def watched(self: asyncio.StreamReader, data: bytes) -> None:
        nonlocal largest
        feed(self, data)
        largest = max(largest, len(self._buffer))  # type: ignore[attr-defined]

    monkeypatch.setattr(asyncio.StreamReader, "feed_data", watched)
    async with fake(machine, ten_megabytes):
        with pytest.raises(WaitTimeoutError):
            async with agent.talking(machine):
                pass
    # Reading pauses at twice the limit; what one read of the socket brings comes on top.
    assert agent.LONGEST_LINE < largest <= 2 * agent.LONGEST_LINE + 256 * 1024


async def test_a_refusal_is_told(machine: MachinePaths) -> None:
    async def answers(call: dict[str, Any]) -> bytes:
        refusal = b'{"error": {"class": "GenericError", "desc": "not here"}}\n'
        return await honest(call) if call["execute"] == "guest-sync-delimited" else refusal

    async with fake(machine, answers), agent.talking(machine) as found:
        with pytest.raises(MonitorError, match="refuses guest-set-time: not here"):
            await found.execute("guest-set-time", time=1)


async def test_an_agent_that_goes_away_is_told(machine: MachinePaths) -> None:
    async def answers(call: dict[str, Any]) -> bytes:
        if call["execute"] == "guest-sync-delimited":
            return await honest(call)
        raise ConnectionError

    async with fake(machine, answers), agent.talking(machine) as found:
        with pytest.raises(MonitorError, match="broke"):
            await found.execute("guest-set-time", time=1)


async def test_one_client_at_a_time(machine: MachinePaths) -> None:
    async with fake(machine, honest), agent.talking(machine):
        with pytest.raises(BusyError):
            async with agent.talking(machine):
                pass
    async with fake(machine, honest), agent.talking(machine):
        pass


async def test_no_channel_is_no_agent(machine: MachinePaths) -> None:
    with pytest.raises(WaitTimeoutError):
        async with agent.talking(machine):
            pass


# -- the clock --------------------------------------------------------------------


class FakeMonitor:
    """A monitor that knows one command."""

    def __init__(self, *channels: dict[str, Any]) -> None:
        self._channels = channels

    async def execute(self, command: str) -> Any:
        assert command == "query-chardev"
        return self._channels


OPEN = {"label": "agent", "frontend-open": True}


async def clock(paths: MachinePaths, *channels: dict[str, Any]) -> str:
    """What is said when that machine's clock is to be set."""
    said: list[Event] = []
    one = Machine(paths, said.append)
    said.clear()
    one.errand(agent.set_clock(one, FakeMonitor(*channels)))  # type: ignore[arg-type]
    await one.errands_done()
    (event,) = said
    assert isinstance(event, Logged)
    return event.text


async def test_the_clock_is_set_and_said(machine: MachinePaths) -> None:
    async with fake(machine, honest) as calls:
        assert await clock(machine, OPEN) == "the guest's clock was set"
    assert calls[-1]["execute"] == "guest-set-time"
    assert calls[-1]["arguments"]["time"] > 10**18


async def test_a_slow_guest_has_time_to_write_its_hardware_clock(
    machine: MachinePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "ASKED_SECONDS", 30.0)

    async def answers(call: dict[str, Any]) -> bytes:
        if call["execute"] == "guest-set-time":
            await asyncio.sleep(2 * agent.ANSWER_SECONDS)
        return await honest(call)

    async with fake(machine, answers):
        assert await clock(machine, OPEN) == "the guest's clock was set"


@pytest.mark.parametrize(
    "channels",
    [[], [{"label": "serial", "frontend-open": True}], [OPEN | {"frontend-open": False}], [OPEN]],
)
async def test_a_clock_that_stays_wrong_is_said(
    machine: MachinePaths, channels: list[dict[str, Any]]
) -> None:
    async with fake(machine, silence):
        said = await clock(machine, *channels)
    assert said.startswith("no guest agent answers: the guest's clock shows the moment")


async def test_an_agent_that_refuses_is_quoted(machine: MachinePaths) -> None:
    async def answers(call: dict[str, Any]) -> bytes:
        refusal = b'{"error": {"desc": "hwclock\\u001b failed"}}\n'
        return await honest(call) if call["execute"] == "guest-sync-delimited" else refusal

    async with fake(machine, answers):
        said = await clock(machine, OPEN)
    assert said.startswith("the guest's clock was not set: the agent refuses guest-set-time")
    assert "\x1b" not in said


SHELL_AGENT = r"""
cat >/agent <<'END'
while true; do
  # The end of the file is there while nobody on the host has the channel open.
  read -r call || { sleep 0.2; continue; }
  case $call in
    *guest-sync-delimited*) id=${call##*: }; printf '\377{"return": %s}\n' "${id%%\}*}" ;;
    *guest-set-time*) t=${call##*: }; t=${t%%\}*}; date -s "@${t%?????????}" >/dev/null
      echo '{"return": {}}' ;;
  esac
done
END
port=$(cd /dev; echo vport*)
sh /agent <>"/dev/$port" >&0 2>/dev/null &
"""


@pytest.mark.qemu
@pytest.mark.usefixtures("with_appliance")
async def test_a_resumed_guest_knows_what_time_it_is(station: Workstation) -> None:
    await boot(station, "one", small(drives=[{"size": "64 MiB"}]))
    async with Shell.on(station, "one") as shell:
        async with asyncio.timeout(20):
            while "vport" not in await shell.run("ls /dev"):
                pass
        for words in SHELL_AGENT.strip().splitlines():
            shell.type(words)
        assert await shell.run("date -s @86400 >/dev/null; date +%Y") == "1970"
    await station.layers.suspend("one")
    await station.start("one")
    await station.errands_done()
    assert "the guest's clock was set" in [entry.text for entry in station.log]
    async with Shell.on(station, "one") as shell:
        assert int(await shell.run("date +%Y")) >= 2024

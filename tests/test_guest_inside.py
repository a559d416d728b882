"""What is done in a guest through its agent, and all that an agent can answer instead."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.test_agent import OPEN, FakeMonitor, fake, line
from workstation.core.guest import agent, facts, files, hosts, ports, run, ssh, still
from workstation.core.guest.copying import parse
from workstation.core.guest.hosts import Door
from workstation.core.machine.machine import Machine
from workstation.errors import (
    CannotRunError,
    HostError,
    MonitorError,
    RefusedError,
    UsageError,
    WaitTimeoutError,
    WorkstationError,
)
from workstation.model.events import Event, Logged
from workstation.model.guest import GuestFacts, Ran
from workstation.paths import MachinePaths, Paths

Answer = Callable[[dict[str, Any]], bytes]


class Running(Machine):
    """One whose QEMU is a fake monitor, and whose agent is a fake too."""

    def __init__(self, paths: MachinePaths) -> None:
        self.said: list[str] = []
        super().__init__(paths, self._hear)
        self.monitor = FakeMonitor(OPEN)  # type: ignore[assignment]
        self.said.clear()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Logged):
            self.said.append(event.text)

    def pair(self) -> Any:
        return object() if getattr(self, "monitor", None) else None

    async def settled(self) -> None:
        pass


@pytest.fixture
def paths(home: Path) -> MachinePaths:
    for name in ("web", "run"):
        (home / name).mkdir()
    return MachinePaths(home / "web", home / "run")


@pytest.fixture
async def guest(paths: MachinePaths, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name in ("ANSWER_SECONDS", "ASKED_SECONDS"):
        monkeypatch.setattr(agent, name, 0.5)
    for name in ("FREEZE_SECONDS", "THAW_SECONDS"):
        monkeypatch.setattr(still, name, 0.5)
    yield Running(paths)


def refuse(words: str) -> bytes:
    return json.dumps({"error": {"class": "GenericError", "desc": words}}).encode() + b"\n"


def agent_of(**answers: object) -> Any:
    """Answers calls by name (`_` for `-`): a value, bytes as they are, or a function."""

    async def answered(call: dict[str, Any]) -> bytes:
        if call["execute"] == "guest-sync-delimited":
            return b"\xff" + line(call["arguments"]["id"])
        known = answers.get(call["execute"].removeprefix("guest-").replace("-", "_"))
        if callable(known):
            known = known(call.get("arguments", {}))
        if known is None:
            return refuse("not here")
        return known if isinstance(known, bytes) else line(known)

    return answered


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# -- commands -----------------------------------------------------------------------


async def test_a_command_brings_code_and_streams(guest: Running, paths: MachinePaths) -> None:
    left = iter([{"exited": False}, {"exited": False}])
    done = {"exited": True, "exitcode": 7, "out-data": b64(b"out\xff"), "err-data": b64(b"err")}
    answers = agent_of(exec={"pid": 12}, exec_status=lambda _: next(left, done))
    async with fake(paths, answers) as calls:
        ran = await run.run(guest, ["sh", "-c", "a b"], given=b"in")
    assert ran == Ran(7, b"out\xff", b"err")
    started = next(call for call in calls if call["execute"] == "guest-exec")["arguments"]
    assert (started["path"], started["arg"]) == ("sh", ["-c", "a b"])
    assert base64.b64decode(started["input-data"]) == b"in"


@pytest.mark.parametrize(
    ("status", "ran"),
    [
        ({"exited": True, "signal": 9}, Ran(137)),
        ({"exited": True, "exitcode": 0, "out-data": "no base 64!"}, Ran(0)),
        ({"exited": True, "exitcode": "zero", "out-data": [1]}, Ran(1)),
        ({"exited": True, "exitcode": 2**70}, Ran(0)),
        ({"exited": True}, Ran(129)),
        ({"exited": True, "exitcode": 0, "out-truncated": True}, Ran(0, cut=True)),
    ],
)
async def test_odd_ends_are_still_ends(
    guest: Running, paths: MachinePaths, status: dict[str, object], ran: Ran
) -> None:
    async with fake(paths, agent_of(exec={"pid": 1}, exec_status=status)):
        assert await run.run(guest, ["x"]) == ran


async def test_much_output_comes_whole(guest: Running, paths: MachinePaths) -> None:
    data = bytes(range(256)) * 8192  # 2 MiB: 2.8 MB on the line
    status = {"exited": True, "exitcode": 0, "out-data": b64(data)}
    async with fake(paths, agent_of(exec={"pid": 1}, exec_status=status)):
        assert (await run.run(guest, ["x"])).out == data


async def test_a_command_that_does_not_end_is_ended(guest: Running, paths: MachinePaths) -> None:
    answers = agent_of(exec={"pid": 77}, exec_status={"exited": False})
    async with fake(paths, answers) as calls:
        with pytest.raises(WaitTimeoutError, match="has not ended"):
            await run.run(guest, ["sleep", "99"], timeout=0.3)
    last = [call for call in calls if call["execute"] == "guest-exec"][-1]["arguments"]
    assert (last["path"], last["arg"]) == ("kill", ["-KILL", "77"])


async def test_a_cancelled_command_is_ended(guest: Running, paths: MachinePaths) -> None:
    asked = asyncio.Event()

    def status(_: object) -> dict[str, object]:
        asked.set()
        return {"exited": False}

    async with fake(paths, agent_of(exec={"pid": 77}, exec_status=status)) as calls:
        task = asyncio.create_task(run.run(guest, ["sleep", "99"]))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [call for call in calls if call["execute"] == "guest-exec"][-1]["arguments"]["arg"]


async def test_others_get_the_channel_while_a_command_runs(
    guest: Running, paths: MachinePaths
) -> None:
    ended: list[bool] = []
    answers = agent_of(
        exec={"pid": 1},
        exec_status=lambda _: {"exited": bool(ended), "exitcode": 0},
        ping={},
    )
    async with fake(paths, answers):
        task = asyncio.create_task(run.run(guest, ["x"]))
        async with agent.asking(guest) as found:
            await found.execute("guest-ping")
        ended.append(True)
        assert (await task).code == 0


@pytest.mark.parametrize("pid", ["1", True, None, [1]])
async def test_what_is_no_process_is_refused(
    guest: Running, paths: MachinePaths, pid: object
) -> None:
    async with fake(paths, agent_of(exec={"pid": pid})):
        with pytest.raises(MonitorError):
            await run.run(guest, ["x"])


@pytest.mark.parametrize(
    ("why", "kind", "code", "words", "hint"),
    [
        (
            "Failed to execute child process “ls -l” (No such file or directory)",
            CannotRunError, 127, "“ls -l” is not run in “web”: Failed", "sh -c 'LINE'",
        ),
        (
            "Command guest-exec has been disabled: the command is not allowed",
            RefusedError, 11, "refuses guest-exec: Command", "qemu-ga.*workstation ssh web",
        ),
    ],
)  # fmt: skip
async def test_what_is_not_run_says_why_and_what_else_there_is(
    guest: Running,
    paths: MachinePaths,
    why: str,
    kind: type[WorkstationError],
    code: int,
    words: str,
    hint: str,
) -> None:
    async with fake(paths, agent_of(exec=refuse(why))):
        with pytest.raises(kind, match=words) as caught:
            await run.run(guest, ["ls -l"])
    assert caught.value.exit_code == code and re.search(hint, caught.value.hint)


async def test_too_long_words_are_not_sent(guest: Running) -> None:
    for words, given in ((["x" * 30_000], b""), (["x"], bytes(40_000)), ([], b"")):
        with pytest.raises(UsageError):
            await run.run(guest, words, given=given)


async def test_a_late_answer_is_not_taken_for_the_next_calls(
    guest: Running, paths: MachinePaths
) -> None:
    async with fake(paths, agent_of(ping=b"")), agent.talking(paths) as found:
        with pytest.raises(WaitTimeoutError):
            await found.execute("guest-ping")
        with pytest.raises(WaitTimeoutError, match="an earlier call"):
            await found.execute("guest-info")


async def test_the_mark_that_begins_anew_stands_before_the_sync_alone(
    guest: Running, paths: MachinePaths
) -> None:
    """A real agent refuses any other call that comes with it."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for words in reader:
            heard.append(words)
            call = json.loads(words.lstrip(b"\xff"))
            writer.write(await agent_of(ping={})(call))
        writer.close()

    server = await asyncio.start_unix_server(serve, str(paths.agent))
    async with server, agent.talking(paths) as found:
        await found.execute("guest-ping")
    assert [words[:1] for words in heard] == [b"\xff", b"{"]


# -- what it says of itself ------------------------------------------------------------


async def said_by(paths: MachinePaths, **answers: object) -> GuestFacts:
    async with fake(paths, agent_of(**answers)), agent.talking(paths) as found:
        return await facts.facts(found)


async def test_what_the_guest_says(guest: Running, paths: MachinePaths) -> None:
    interfaces = [
        {"name": "lo", "ip-addresses": [{"ip-address": "127.0.0.1"}, {"ip-address": "::1"}]},
        {"name": "a", "ip-addresses": [{"ip-address": "10.0.2.15"}, {"ip-address": "fe80::1"}]},
        {"name": "none"},
    ]
    found = await said_by(
        paths,
        get_osinfo={"pretty-name": "Debian 12", "kernel-release": "6.1"},
        get_host_name={"host-name": "web"},
        network_get_interfaces=interfaces,
    )
    assert found == GuestFacts("web", "Debian 12", "6.1", ("10.0.2.15",))


@pytest.mark.parametrize("said", [None, [], {}, "x", 5, [1, None, {"ip-addresses": [5, {}]}]])
async def test_nonsense_is_nothing(guest: Running, paths: MachinePaths, said: object) -> None:
    found = await said_by(paths, get_osinfo=said, get_host_name=said, network_get_interfaces=said)
    assert found == GuestFacts()


async def test_what_it_says_is_made_safe_and_short(guest: Running, paths: MachinePaths) -> None:
    many = [
        {"ip-addresses": [{"ip-address": f"10.0.{n}.{m}"} for m in range(60)]} for n in range(60)
    ]
    found = await said_by(
        paths,
        get_osinfo={"pretty-name": "\x1b]52;c;x\x07" + "y" * 5000},
        get_host_name={"host-name": "a\nb\u202e"},
        network_get_interfaces=many[:20],
    )
    assert "\x1b" not in found.system and len(found.system) <= 200
    assert found.host_name == "a b\ufffd"
    assert len(found.addresses) == facts.MOST_ADDRESSES


# -- files ---------------------------------------------------------------------------


class Disk:
    """The guest's side of file calls."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content
        self.at = 0
        self.opened: list[tuple[str, str]] = []
        self.closed = 0

    def open(self, said: dict[str, Any]) -> int:
        self.opened.append((said["path"], said["mode"]))
        return 3

    def close(self, _: object) -> dict[str, Any]:
        self.closed += 1
        return {}

    def write(self, said: dict[str, Any]) -> dict[str, Any]:
        piece = base64.b64decode(said["buf-b64"])[:20_000]  # it need not take all at once
        self.content += piece
        return {"count": len(piece), "eof": False}

    def read(self, said: dict[str, Any]) -> dict[str, Any]:
        piece = self.content[self.at : self.at + said["count"]]
        self.at += len(piece)
        return {"count": len(piece), "buf-b64": b64(piece), "eof": self.at >= len(self.content)}

    @property
    def agent(self) -> Any:
        return agent_of(
            file_open=self.open, file_close=self.close, file_write=self.write, file_read=self.read
        )


async def test_a_file_goes_in_and_comes_out(
    guest: Running, paths: MachinePaths, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 400
    (tmp_path / "in").write_bytes(data)
    disk = Disk()
    told: list[int] = []
    async with fake(paths, disk.agent), agent.talking(paths) as found:
        await files.copy_in(found, tmp_path / "in", "/root/x", told.append)
        await files.copy_out(found, "/root/x", tmp_path / "out", told.append)
    assert disk.content == data == (tmp_path / "out").read_bytes()
    assert disk.opened == [("/root/x", "w"), ("/root/x", "r")]
    assert disk.closed == 2
    assert sum(told) == 2 * len(data)


@pytest.mark.parametrize(
    "said",
    [{"buf-b64": "!!"}, {"buf-b64": 5}, {"count": 0, "buf-b64": ""}, [], {}],
    ids=["no base64", "number", "nothing without end", "list", "empty"],
)
async def test_a_copy_that_fails_leaves_nothing(
    guest: Running, paths: MachinePaths, tmp_path: Path, said: object
) -> None:
    (tmp_path / "there").write_text("kept")
    answers = agent_of(file_open=3, file_close={}, file_read=said)
    async with fake(paths, answers), agent.talking(paths) as found:
        with pytest.raises(MonitorError):
            await files.copy_out(found, "/x", tmp_path / "there", lambda _: None)
    assert [file.name for file in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there").read_text() == "kept"


async def test_a_file_without_end_is_given_up(
    guest: Running, paths: MachinePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LARGEST", 100_000)
    piece = {"buf-b64": b64(bytes(files.PIECE)), "eof": False}
    answers = agent_of(file_open=3, file_close={}, file_read=piece)
    async with fake(paths, answers), agent.talking(paths) as found:
        with pytest.raises(HostError, match="more than 4 GiB"):
            await files.copy_out(found, "/dev/zero", tmp_path / "out", lambda _: None)
    assert not list(tmp_path.iterdir())


# -- its file systems held still ---------------------------------------------------------


async def test_they_are_held_and_let_go(guest: Running, paths: MachinePaths) -> None:
    async with fake(paths, agent_of(fsfreeze_freeze=2, fsfreeze_thaw=2)) as calls:
        assert await still.hold(guest)
        await still.let_go(guest)
    named = [call["execute"] for call in calls if "sync" not in call["execute"]]
    assert named == ["guest-fsfreeze-freeze", "guest-fsfreeze-thaw"]
    assert guest.said == []


async def test_an_agent_that_will_not_is_told_and_thawed(
    guest: Running, paths: MachinePaths
) -> None:
    async with fake(paths, agent_of(fsfreeze_thaw=0)) as calls:
        assert not await still.hold(guest)
    assert calls[-1]["execute"] == "guest-fsfreeze-thaw"
    assert guest.said[0].startswith("its disks are frozen as after a power cut: ")


async def test_no_answer_may_mean_that_they_are_held(guest: Running, paths: MachinePaths) -> None:
    async with fake(paths, agent_of(fsfreeze_freeze=b"")):
        assert await still.hold(guest)


async def test_where_they_are_not_let_go_the_way_out_is_said(
    guest: Running, paths: MachinePaths
) -> None:
    async with fake(paths, agent_of()) as calls:
        await still.let_go(guest)
    assert [call["execute"] for call in calls].count("guest-fsfreeze-thaw") == 3
    assert "workstation reset" in guest.said[-1]


async def test_without_an_agent_nobody_waits(guest: Running) -> None:
    guest.monitor = FakeMonitor(OPEN | {"frontend-open": False})  # type: ignore[assignment]
    assert not await still.hold(guest)
    await still.let_go(guest)
    assert [words.partition(":")[0] for words in guest.said] == [
        "its disks are frozen as after a power cut"
    ]


# -- ports and ssh ------------------------------------------------------------------------

TABLE = """Hub -1 (net0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[{}]    20       127.0.0.1  {}       10.0.2.15    22     0     0
  TCP[HOST_FORWARD]  21       127.0.0.1  {}       10.0.2.15    22     0     0
"""


class Usernet:
    """A monitor that says how its connections are, one state after the other."""

    def __init__(self, port: int, *states: str) -> None:
        self._port, self._states = port, list(states)

    async def execute(self, command: str, **_: object) -> str:
        assert command == "human-monitor-command"
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        return TABLE.format(state, self._port, self._port)


@pytest.mark.parametrize(
    ("states", "answers"),
    [
        (("SYN_SENT", "ESTABLISHED"), True),
        (("SYN_SENT", "CLOSED"), False),
        (("SYN_SENT",), False),
        (("FIN_WAIT_2",), False),
    ],
)
async def test_a_port_answers_when_the_guest_has_taken_it(
    states: tuple[str, ...], answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "CONNECT_SECONDS", 0.3)

    async def take(_: object, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        monitor = Usernet(port, *states)
        assert await ports.answers(monitor, port) is answers  # type: ignore[arg-type]


def test_ssh_is_told_of_one_machine_and_nothing_else(paths: MachinePaths) -> None:
    text = hosts.stanza(paths, Door(2222, "maria"))
    assert text.startswith("Host web.vm\n    HostName 127.0.0.1\n    Port 2222\n    User maria\n")
    assert "StrictHostKeyChecking accept-new" in text and "IdentityFile" not in text
    hosts.pin(paths, "web", ["ssh-ed25519 AAAA root@web"])
    assert hosts.known_hosts(paths).read_text() == "web.vm ssh-ed25519 AAAA\n"
    (paths.ssh / hosts.PRIVATE).touch()
    text = hosts.stanza(paths, Door(2222))
    assert "StrictHostKeyChecking yes" in text and "IdentitiesOnly yes" in text
    assert "User " not in text
    hosts.unpin(paths)
    assert not hosts.is_pinned(paths)


@pytest.mark.parametrize("name", ['a"b', "a${HOME}b", "a\\b"])
def test_a_path_that_ssh_would_read_otherwise_is_refused(home: Path, name: str) -> None:
    machine = MachinePaths(home / name / "web", home)
    with pytest.raises(HostError, match="cannot be told"):
        hosts.stanza(machine, Door(1))
    assert "100%%" in hosts.stanza(MachinePaths(home / "100%" / "web", home), Door(1))


def test_words_for_ssh_can_be_no_options(tmp_path: Path) -> None:
    words = ssh.ssh_words(tmp_path, "web", ["-oProxyCommand=evil", "a b"], terminal=False)
    assert words[-3:] == ["--", "web.vm", "-oProxyCommand=evil 'a b'"]
    assert words[1:3] == ["-F", str(tmp_path)]
    assert ssh.scp_words(tmp_path, "-x", "web.vm:y", recursive=True)[3:] == [
        "-r", "--", "-x", "web.vm:y",
    ]  # fmt: skip


def test_a_copy_of_a_machine_is_known_by_the_same_keys(home: Path) -> None:
    paths = Paths(home / "d", home / "c", home / "k", home / "r")
    for name in ("web", "two"):
        paths.machine(name).data.mkdir(parents=True)
    hosts.hand_on(paths, "web", "two")
    assert not paths.machine("two").ssh.exists()
    hosts.pin(paths.machine("web"), "web", ["ssh-ed25519 AAAA x"])
    (paths.machine("web").ssh / hosts.PRIVATE).write_text("key")
    hosts.hand_on(paths, "web", "two")
    assert hosts.known_hosts(paths.machine("two")).read_text() == "two.vm ssh-ed25519 AAAA\n"
    assert (paths.machine("two").ssh / hosts.PRIVATE).read_text() == "key"


def test_one_side_of_a_copy_is_in_a_machine(tmp_path: Path) -> None:
    copy = parse(str(tmp_path / "a"), "web:/tmp/")
    assert (copy.name, copy.target_in, copy.into_guest) == ("web", "/tmp/a", True)
    assert parse(str(tmp_path / "a"), "web:").target_in == "/root/a"
    assert parse(str(tmp_path / "a"), "web:/etc/b").target_in == "/etc/b"
    back = parse("web:/etc/hosts", str(tmp_path))
    assert (back.target_out, back.into_guest) == (tmp_path / "hosts", False)
    assert parse("web:/etc/hosts", str(tmp_path / "b")).target_out == tmp_path / "b"
    assert parse("./web:x", "web:/x").outside == Path("web:x")
    for wrong in (("a", "b"), ("web:a", "two:b")):
        with pytest.raises(UsageError):
            parse(*wrong)

"""Layers on the command line, with real QEMU: snapshot, revert, branch, suspend, look after."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Shell
from workstation.cli import main, progress
from workstation.cli.completion import machines_and_tags, snapshots
from workstation.cli.history import Node, drawn
from workstation.core.workstation import Workstation
from workstation.model.events import Activity
from workstation.paths import Paths
from workstation.qemu.procfs import read_pair

ROOT = Path(__file__).parent.parent
PROGRAM = (sys.executable, "-m", "workstation")

TINY = "name: tiny\nmemory: 32 MiB\nnetworks: []\ntags: [lab]\ndrives: [{size: 16 MiB}]\n"

NO_AGENT = "workstation: “one”: no guest agent answers: the guest's clock shows the moment"


class Said:
    """What one call in this process printed, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        self.code = main(words)
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def profile(paths: Paths) -> str:
    file = paths.config / "tiny.yaml"
    file.write_text(TINY)
    return str(file)


def make(capsys: pytest.CaptureFixture[str], profile: str, *words: str) -> None:
    assert Said(capsys, "create", words[0], "-p", profile, *words[1:]).code == 0


def state(capsys: pytest.CaptureFixture[str], name: str = "one") -> str:
    rows = Said(capsys, "list", "--json").json
    return next((str(row["state"]) for row in rows if row["name"] == name), "")


def tags(capsys: pytest.CaptureFixture[str], name: str = "one") -> list[str]:
    return [row["tags"][0] for row in Said(capsys, "snapshots", "list", name, "--json").json]


# -- one machine --------------------------------------------------------------------


@pytest.mark.qemu
def test_a_machine_is_frozen_and_brought_back(
    profile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "reset-demo" not in state(capsys)
    make(capsys, profile, "one", "--start")
    taken = Said(capsys, "snapshot", "one", "first", "--note", "where it began")
    assert taken.code == 0
    assert taken.out.startswith("“one”: snapshot “first” taken, with its memory, ")
    bare = Said(capsys, "snapshot", "one", "bare", "--disks-only", "--json").json
    assert (bare["tags"], bare["memory"], bare["head"]) == (["bare"], False, True)
    assert "workstation golden one" in Said(capsys, "reset-demo", "one").err
    assert "“golden” is golden" in Said(capsys, "golden", "one").out
    back = Said(capsys, "revert", "one", "first")
    assert (back.code, back.out) == (0, "“one”: back at “first”\n")
    assert back.err.startswith(NO_AGENT)
    assert state(capsys) == "running"
    assert Said(capsys, "golden", "one", "first", "--json").json["golden"] == "first"
    assert Said(capsys, "stop", "one", "--force").code == 0
    assert Said(capsys, "reset-demo", "one", "--json").json["state"] == "running"
    assert Said(capsys, "snapshots", "rename", "one", "first", "origin").code == 0
    shown = Said(capsys, "show", "one", "--json").json
    assert shown["snapshots"] == ["origin", "bare", "golden"]
    assert (shown["golden"], shown["written"]) == ("origin", 0)
    assert "3, golden: origin, 0 B written since the last one" in Said(capsys, "show", "one").out
    assert "3 ◆ golden" in Said(capsys, "list").out


@pytest.mark.qemu
def test_history_is_a_tree(profile: str, capsys: pytest.CaptureFixture[str]) -> None:
    make(capsys, profile, "one")
    assert "has no snapshots" in Said(capsys, "snapshots", "list", "one").out
    for tag in ("a", "b"):
        assert Said(capsys, "snapshot", "one", tag).code == 0
    assert Said(capsys, "revert", "one", "a").code == 0
    assert Said(capsys, "snapshot", "one", "c", "--note", "the other way").code == 0
    assert Said(capsys, "golden", "one", "b").code == 0
    drawing = [
        line.split("  20")[0].rstrip() for line in Said(capsys, "history", "one").out.split("\n")
    ]
    lines = [" ".join(line.split()) for line in drawing]
    assert lines[0].startswith("SNAPSHOT TAKEN")
    assert lines[1].startswith("● now")
    # Frozen within one second, they may come in either order.
    assert lines[2:4] in (["○ c", "│ ◆ b"], ["│ ◆ b", "○ │ c"])
    assert lines[4:6] == ["├─╯", "○ a"]
    found = Said(capsys, "history", "one", "--json").json
    by_tag = {entry["tags"][0]: entry for entry in found["layers"]}
    assert by_tag["b"]["parent"] == by_tag["c"]["parent"] == by_tag["a"]["layer"]
    assert [tag for tag in "abc" if by_tag[tag]["head"]] == ["c"]
    assert [tag for tag in "abc" if by_tag[tag]["golden"]] == ["b"]
    assert (found["head"]["state"], found["head"]["written"]) == ("running", 0)
    assert by_tag["c"]["note"] == "the other way"


@pytest.mark.parametrize(
    ("words", "code", "what", "hint"),
    [
        (["snapshot", "one", "first"], 2, "has a snapshot “first” already", "another name"),
        (["snapshot", "one", "a/b"], 2, "cannot be a snapshot's name", "letters"),
        (["snapshot", "one", "x", "--note", "two\nlines"], 2, "cannot be a note", "one line"),
        (["snapshot", "nobody", "x"], 3, "no machine “nobody”", "list"),
        (["snapshot", "--group", "nobody", "x"], 3, "carries the tag “nobody”", "list"),
        (["snapshot", "one"], 2, "needs TAG", "--help"),
        (["revert", "one", "frist"], 3, "no snapshot “frist”", "did you mean “first”"),
        (["revert", "--group", "lab", "zzz"], 3, "no snapshot “zzz”", "first"),
        (["golden", "one", "zzz"], 3, "no snapshot “zzz”", "first"),
        (["reset-demo", "one"], 2, "no golden snapshot", "workstation golden one"),
        (["suspend", "one"], 6, "it cannot suspend", "start"),
        (["suspend"], 2, "name the machines to suspend, or say --all", "suspend --help"),
        (["resume", "one", "--all"], 2, "or say --all", "not both"),
        (["resume", "one"], 6, "it cannot resume", "start"),
        (["clone", "one", "one"], 2, "a machine “one” already", "another name"),
        (["clone", "one", "two", "--at", "zzz"], 3, "no snapshot “zzz”", "first"),
        (["squash", "one", "zzz"], 3, "no snapshot “zzz”", "first"),
        (["snapshots", "rename", "one", "first", "first"], 2, "already", "another"),
        (["snapshots", "delete", "one", "first"], 2, "needs a yes", "--yes"),
        (["snapshots"], 2, "list, rename, delete", ""),
        (["store"], 2, "gc, check", ""),
        (["history", "nobody"], 3, "no machine “nobody”", "list"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence_a_hint_and_a_code(
    off: None,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    what: str,
    hint: str,
) -> None:
    said = Said(capsys, *words)
    first, *rest = said.err.splitlines()
    assert (said.code, said.out) == (code, "")
    assert what in first
    assert hint in "".join(rest)


@pytest.fixture
def off(profile: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine that was never started, with one snapshot."""
    make(capsys, profile, "one")
    assert Said(capsys, "snapshot", "one", "first").code == 0


def test_names_and_room_are_looked_after(off: None, capsys: pytest.CaptureFixture[str]) -> None:
    for tag in ("second", "third"):
        assert Said(capsys, "snapshot", "one", tag).code == 0
    merged = Said(capsys, "squash", "one", "first")
    assert (merged.code, merged.out) == (0, "“one”: “first” merged; layers below its head: 2\n")
    deleted = Said(capsys, "snapshots", "delete", "one", "third", "--yes", "--json").json
    # The head stands on it: only its name goes.
    assert (deleted["deleted"], deleted["freed"]) == (True, 0)
    assert tags(capsys) == ["second"]
    # What has no name any more goes by the beginning of its id.
    unnamed = Said(capsys, "history", "one", "--json").json["layers"][-1]["layer"]
    assert unnamed[:8] in Said(capsys, "history", "one").out
    assert Said(capsys, "squash", "one", unnamed[:8], "--json").json["chain"] == 1
    assert "freed" in Said(capsys, "compact", "one").out
    assert Said(capsys, "store", "gc", "--dry-run").out == "0 B would be freed\n"
    assert Said(capsys, "delete", "one", "--yes").code == 0
    # Its layers went with it: nothing is left to collect.
    would = Said(capsys, "store", "gc", "--dry-run", "--json").json
    assert would["freed"] == 0
    assert Said(capsys, "store", "gc", "--json").json == {**would, "dry_run": False}


def test_the_store_is_checked_and_mended(
    off: None, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Said(capsys, "store", "check")
    assert (whole.code, whole.out) == (0, "✓ 2 of 2 are whole\n")
    (file,) = paths.layers.glob("*/drive0.qcow2")
    file.chmod(0o600)
    noted = Said(capsys, "store", "check")
    assert noted.code == 0
    assert "drive0.qcow2 can be written\n    → workstation store check --repair" in noted.out
    assert Said(capsys, "store", "check", "--repair", "--json").code == 0
    assert file.stat().st_mode & 0o222 == 0
    file.chmod(0o600)
    file.write_bytes(b"x")
    broken = Said(capsys, "store", "check", "--json")
    assert broken.code == 5
    assert "problem" in {row["level"] for row in broken.json}


@pytest.mark.qemu
def test_a_long_chain_is_warned_of(
    off: None, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    paths.settings.write_text("longest_chain: 2\n")
    assert Said(capsys, "snapshot", "one", "second").err == ""
    warned = Said(capsys, "snapshot", "one", "third")
    assert warned.code == 0
    assert "stands on 3 layers" in warned.err
    assert "workstation squash one TAG" in warned.err


# -- several machines -----------------------------------------------------------------


@pytest.mark.qemu
def test_all_are_suspended_and_resumed(profile: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert Said(capsys, "suspend", "--all").out == "There is no machine to suspend.\n"
    make(capsys, profile, "off")
    for name in ("one", "two"):
        make(capsys, profile, name, "--start")
    assert Said(capsys, "clone", "one", "copy", "--json").json["state"] == "frozen"
    done = Said(capsys, "suspend", "--all")
    assert (done.code, len(done.out.splitlines())) == (0, 2)
    assert [state(capsys, name) for name in ("one", "two", "off")] == [
        "frozen",
        "frozen",
        "created",
    ]
    assert Said(capsys, "resume", "one", "--json").json["state"] == "running"
    rows = Said(capsys, "resume", "--all", "--json").json
    # The copy was never started: it does not wake by the way.
    assert [(row["name"], row["state"]) for row in rows] == [("two", "running")]
    both = Said(capsys, "suspend", "off", "two")
    assert both.code == 6
    assert both.out.startswith("“two”: frozen")
    assert "“off” is off: it cannot suspend" in both.err
    assert Said(capsys, "start", "two", "--cold").code == 0
    copied = Said(capsys, "resume", "copy")
    assert copied.code == 0
    assert "its network is off" in copied.err


@pytest.mark.qemu
def test_a_group_is_frozen_and_brought_back_together(
    profile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        make(capsys, profile, name, "--start")
    said = Said(capsys, "snapshot", "--group", "lab", "monday")
    assert said.code == 0
    assert said.out.startswith("“one”, “two”: snapshot “monday” taken, ")
    assert float(said.out.split()[-3]) < 60_000
    found = Said(capsys, "snapshot", "--group", "lab", "disks", "--disks-only", "--json").json
    assert found["machines"] == ["one", "two"]
    assert found["seconds_apart"] >= 0
    rows = Said(capsys, "revert", "--group", "lab", "monday", "--json").json
    assert [(row["name"], row["state"]) for row in rows] == [("one", "running"), ("two", "running")]


# -- with a guest ---------------------------------------------------------------------

GUEST = """\
name: small
memory: 128 MiB
networks: []
display: {adapter: none}
devices: {usb_tablet: false}
boot:
  kernel: appliance/vmlinuz
  initrd: appliance/initrd
  command_line: console=ttyS0 quiet nokaslr mitigations=off cryptomgr.notests no_timer_check
drives: [{size: 64 MiB}]
ready: appliance ready
"""


@pytest.mark.qemu
@pytest.mark.usefixtures("with_appliance")
def test_a_guests_work_is_kept_discarded_and_copied(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = paths.config / "small.yaml"
    profile.write_text(GUEST)
    make(capsys, str(profile), "one", "--start")
    assert Said(capsys, "start", "one").code == 6
    asyncio.run(in_guest(paths, "one", "WORD=first; echo first >/data/word; sync", ready=True))
    assert Said(capsys, "snapshot", "one", "a").code == 0
    work = (
        "WORD=second; dd if=/dev/urandom of=/data/big bs=1M count=4; echo second >/data/word; sync"
    )
    asyncio.run(in_guest(paths, "one", work))
    refused = Said(capsys, "revert", "one", "a")
    assert (refused.code, refused.out) == (2, "")
    assert "MiB written since the last snapshot of “one” would be lost" in refused.err
    assert "workstation snapshot one TAG; or lose it: workstation revert one a --discard" in (
        refused.err
    )
    full = Said(capsys, "clone", "one", "copy", "--full")
    assert full.code == 0
    assert "shares nothing" in full.out
    assert Said(capsys, "revert", "one", "a", "--discard").code == 0
    recall = "echo $WORD $(cat /data/word)"
    assert Said(capsys, "clone", "one", "two", "--at", "a").code == 0
    assert Said(capsys, "start", "two", "--wait", "--timeout", "5").code == 0
    assert asyncio.run(in_guest(paths, "two", recall)) == "first first"
    assert Said(capsys, "stop", "two", "--force").code == 0
    assert Said(capsys, "delete", "two", "--yes").code == 0
    assert asyncio.run(in_guest(paths, "one", recall)) == "first first"
    assert Said(capsys, "stop", "one", "--force").code == 0
    assert Said(capsys, "delete", "one", "--yes").code == 0
    assert Said(capsys, "store", "gc").code == 0
    assert not list(paths.layers.iterdir())
    assert Said(capsys, "start", "copy", "--wait").code == 0
    assert asyncio.run(in_guest(paths, "copy", recall)) == "second"
    size = "ls -l /data/big | tr -s ' ' | cut -d' ' -f5"
    assert asyncio.run(in_guest(paths, "copy", size)) == str(4 << 20)


async def in_guest(paths: Paths, name: str, command: str, *, ready: bool = False) -> str:
    async with Workstation(paths, only=(name,), watch=False) as station:
        if ready:
            await station.wait_ready(name)
        async with Shell.on(station, name) as shell:
            await shell.run("true")
            return await shell.run(command)


# -- interrupted ------------------------------------------------------------------------


@pytest.mark.qemu
def test_an_interrupted_snapshot_leaves_the_guest_running_and_no_trace(
    profile: str, paths: Paths, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    make(capsys, profile, "one", "--start")
    machine = paths.machine("one")
    pair = read_pair(machine)
    assert pair
    before = machine.history.read_text()
    for attempt in range(5):
        with subprocess.Popen(
            [*PROGRAM, "snapshot", "one", f"try{attempt}"], env=environ, cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as taking:  # fmt: skip
            while not machine.pending.exists() and taking.poll() is None:
                time.sleep(0)
            # QEMU stands still, so that the interrupt comes while it is asked for something.
            os.kill(pair.qemu.pid, signal.SIGSTOP)
            taking.send_signal(signal.SIGINT)
            os.kill(pair.qemu.pid, signal.SIGCONT)
            out, err = taking.communicate(timeout=30)
        if taking.returncode == 130:
            break
        before = machine.history.read_text()  # it was through already: once more
    assert (taking.returncode, out, err) == (130, "", "workstation: interrupted\n")
    assert machine.history.read_text() == before
    assert not machine.pending.exists()
    assert len(list(machine.heads.iterdir())) == 1
    assert not list(paths.making.iterdir())
    assert state(capsys) == "running"
    assert Said(capsys, "snapshot", "one", "after").code == 0


# -- progress -----------------------------------------------------------------------------


class Terminal(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def moving(done: float, *, finished: bool = False) -> Activity:
    title = "snapshot one \x1b[31ma"
    return Activity(1, title, done, 200.0, unit="B", rate=3 * 2**20, finished=finished)


async def drawn_on(stream: Terminal, monkeypatch: pytest.MonkeyPatch, *done: float) -> str:
    monkeypatch.setattr(progress, "PATIENCE", 0)
    line = progress.ProgressLine(stream)
    for value in done:
        line(moving(value))
        before = stream.tell()
        async with asyncio.timeout(10):
            while stream.tell() == before:  # noqa: ASYNC110 (a stream tells nobody)
                await asyncio.sleep(0)
    line(moving(200, finished=True))
    return stream.getvalue()


async def test_a_terminals_progress_is_overwritten_and_goes_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = await drawn_on(Terminal(terminal=True), monkeypatch, 25, 100)
    first = "\r\x1b[K  snapshot one \ufffd[31ma    12 %   3 MiB/s"
    assert text.startswith(first)
    assert text.endswith("   50 %   3 MiB/s   0 s left\r\x1b[K")


async def test_a_files_progress_is_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    text = await drawn_on(Terminal(terminal=False), monkeypatch, 25)
    assert text == "  snapshot one \ufffd[31ma    12 %   3 MiB/s   0 s left\n"


async def test_nothing_is_said_of_what_is_quick() -> None:
    stream = Terminal(terminal=True)
    line = progress.ProgressLine(stream)
    line(moving(1))
    line(moving(2, finished=True))
    await asyncio.sleep(0)
    assert stream.getvalue() == ""


# -- small parts ----------------------------------------------------------------------------


def test_branches_that_join_are_drawn_so() -> None:
    nodes = [
        Node(name, parent or None, name) for name, parent in ("ma", "nb", "oa", "pa", "ba", "a ")
    ]
    nodes[-1] = Node("a", None, "a")
    assert [line for line, _ in drawn(nodes)] == [
        "m",
        "│ n",
        "│ │ o",
        "│ │ │ p",
        "│ b │ │",
        "├─┴─┴─╯",
        "a",
    ]


def test_lines_between_are_crossed() -> None:
    nodes = [Node("m", "a", "m"), Node("n", "z", "n"), Node("o", "a", "o"), Node("a", "z", "a")]
    nodes.append(Node("z", None, "z"))
    assert [line for line, _ in drawn(nodes)] == [
        "m", "│ n", "│ │ o", "├─┼─╯", "a │", "├─╯", "z",
    ]  # fmt: skip


def test_snapshots_are_completed(off: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert snapshots("one") == snapshots("lab") == ["first"]
    assert snapshots("nobody") == []
    assert machines_and_tags() == ["one", "lab"]

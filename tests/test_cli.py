"""The command line as a person and a script meet it; no QEMU runs here."""

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import tiny
from workstation import errors
from workstation.cli import main
from workstation.cli.grammar import COMMANDS, EPILOG, FAMILIES
from workstation.cli.parser import Command, Grammar, parse
from workstation.core.machine.lock import MachineLock
from workstation.core.workstation import Workstation
from workstation.paths import Paths

ROOT = Path(__file__).parent.parent
PROGRAM = (sys.executable, "-m", "workstation")


def run(environ: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    """The program as a process of its own."""
    return subprocess.run(
        [*PROGRAM, *words], env=environ, cwd=ROOT, text=True, errors="replace",
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


class Said:
    """What one call in this process printed, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        self.code = main(words)
        self.out, self.err = capsys.readouterr()

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


@pytest.fixture
async def one(paths: Paths) -> Paths:
    """There is a machine “one” that was never started."""
    async with Workstation(paths, watch=False) as station:
        await station.create("one", tiny(description="the first", tags=["lab"]))
    return paths


def test_each_family_has_the_commands_that_the_index_says() -> None:
    for family, names in FAMILIES.items():
        module = import_module(f"workstation.cli.grammar.{family}")
        assert list(module.COMMANDS) == names.split()


def commands(grammar: Grammar, prefix: str = "") -> dict[str, Command]:
    found = {}
    for name, node in grammar.items():
        if isinstance(node, Command):
            found[f"{prefix}{name}"] = node
        else:
            found |= commands(node.commands, f"{prefix}{name} ")
    return found


# -- words ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "what", "hint"),
    [
        (["lst"], 2, "no command “lst”", "did you mean “list”"),
        (["zzz"], 2, "no command “zzz”", "workstation --help"),
        (["profile", "lits"], 2, "no command “lits”", "did you mean “list”"),
        (["profile"], 2, "list, show, validate, schema", "workstation profile --help"),
        (["list", "--jsn"], 2, "takes no “--jsn”", "did you mean “--json”"),
        (["start", "--wai", "x"], 2, "takes no “--wai”", "did you mean “--wait”"),
        (["list", "surplus"], 2, "takes no “surplus”", "workstation list --help"),
        (["show"], 2, "“workstation show” needs NAME", "workstation show --help"),
        (["network", "one"], 2, "“workstation network” needs on|off", "workstation network --help"),
        (["network", "one", "maybe"], 2, "“maybe” is none of on, off", "network --help"),
        (["export", "one", "x", "--format", "tar"], 2, "--format “tar” is none of ova, qcow2",
         "workstation export --help"),
        (["usb", "attach", "one", "mouse"], 2, "“mouse” is no USB device", "workstation usb list"),
        (["suspend"], 2, "name the machines to suspend", "workstation suspend --help"),
        (["suspend", "one", "--all"], 2, "name the machines to suspend", "not both"),
        (["create", "x"], 2, "made from", "--profile"),
        (["start", "x", "--timeout", "soon"], 2, "“soon” is not a number of seconds", ""),
        (["start", "x", "--timeout", "nan"], 2, "“nan” is not a number of seconds", ""),
        (["logs", "x", "--raw", "--json"], 2, "not allowed with", ""),
        (["show", "oen"], 3, "no machine “oen”", "did you mean “one”"),
        (["show", "../one"], 3, "no machine", ""),
        (["create", "x", "-p", "applianc"], 3, "no profile “applianc”", "did you mean “appliance”"),
        (["create", "x", "-p", "./none.yaml"], 3, "no file ./none.yaml", "path"),
        (["create", "Bad", "-p", "windows-11"], 2, "cannot be a machine's name", "a-z"),
        (["create", "one", "-p", "windows-11"], 2, "already", "another name"),
        (["create", "x", "-p", "windows-11", "-s", "memory"], 2, "not key=value", "cpu.cores=4"),
        (["images", "build", "none"], 3, "no recipe", "appliance"),
        (["delete", "one"], 2, "needs a yes", "--yes"),
        (["pause", "one"], 6, "cannot pause", "start"),
        (["stop", "one"], 6, "cannot stop", "start"),
        (["stop", "one", "--force"], 6, "cannot stop --force", "start"),
        (["console", "one"], 6, "console", "start"),
        ([], 2, "need a terminal", "--help"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence_a_hint_and_a_code(
    one: Paths,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    what: str,
    hint: str,
) -> None:
    said = Said(capsys, *words)
    assert said.code == code
    assert said.out == ""
    assert said.lines[0].startswith("workstation: ")
    assert what in said.lines[0]
    assert hint in "".join(said.lines[1:])
    assert len(said.lines) == 1 or said.lines[1].startswith("  → ")
    assert "Traceback" not in said.err


def test_every_problem_of_the_settings_given_is_told(
    one: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    said = Said(capsys, "create", "x", "-p", "windows-11", "-s", "memory=lots", "-s", "cpu.coers=2")
    assert said.code == 5
    assert "did you mean “cores”?" in said.err
    assert "found “lots”" in said.err
    assert not one.machine("x").data.exists()


def test_help_is_there_for_each_command_and_says_how_to_use_it(
    capsys: pytest.CaptureFixture[str], paths: Paths
) -> None:
    for name, command in commands(COMMANDS).items():
        said = Said(capsys, "help", *name.split())
        assert said.code == 0
        assert f"usage: workstation {name}" in said.out
        assert command.examples[0] in said.out
    said = Said(capsys, "--help")
    assert all(name.partition(" ")[0] in said.out for name in commands(COMMANDS))


def test_examples_can_be_parsed() -> None:
    import shlex

    for command in commands(COMMANDS).values():
        for example in command.examples:
            words = shlex.split(example.removeprefix('eval "$(').removesuffix(')"'))
            if "|" in words:
                words = words[: words.index("|")]
            after = words[words.index("workstation") + 1 :]
            assert parse([word for word in after if word[0] not in "<>"]).handler


def test_the_manual_has_every_command_and_exit_code() -> None:
    manual = (ROOT / "docs" / "cli.md").read_text()
    for name in commands(COMMANDS):
        assert f"`workstation {name}`" in manual
    for code in {kind.exit_code for kind in errors.WorkstationError.__subclasses__()} | {0, 1, 130}:
        assert f"\n| {code} | " in manual
    for variable in ("XDG_DATA_HOME", "XDG_RUNTIME_DIR", "WORKSTATION_ACCEL", "EDITOR"):
        assert variable in manual


def test_exit_codes_in_the_help_are_those_of_the_errors() -> None:
    known = {kind.exit_code for kind in errors.WorkstationError.__subclasses__()}
    told = {int(word) for word in EPILOG.split() if word.isdigit()}
    assert told == known | {0, 1, 130}


# -- looking --------------------------------------------------------------------


def test_list_and_show_tell_the_same_as_text_and_as_json(
    one: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "one   created  1     32 MiB" in Said(capsys, "list").out
    row = json.loads(Said(capsys, "list", "--json").out)[0]
    assert (row["name"], row["state"], row["memory"]) == ("one", "created", 32 << 20)
    assert "one" in Said(capsys, "list", "--tag", "lab").out
    assert "No machine carries" in Said(capsys, "list", "--tag", "other").out
    shown = json.loads(Said(capsys, "show", "one", "--json").out)
    assert shown["uuid"] == row["uuid"]
    assert shown["profile"]["memory"]
    assert "the first" in Said(capsys, "show", "one").out


def test_an_empty_library_says_how_to_begin(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "workstation demo" in Said(capsys, "list").out
    assert json.loads(Said(capsys, "list", "--json").out) == []


def test_a_broken_machine_is_listed_shown_and_not_started(
    one: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    file = one.machine("one").file
    file.write_text(file.read_text().replace("memory:", "memroy:"))
    assert "workstation show one" in Said(capsys, "list").out
    assert "memroy" in Said(capsys, "show", "one").out
    said = Said(capsys, "start", "one")
    assert said.code == 5
    assert "did you mean “memory”" in said.err


def test_settings_with_a_slip_are_told(one: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    one.settings.write_text("acelerator: tcg\n")
    said = Said(capsys, "show", "one")
    assert said.code == 5
    assert "settings.yaml:1:1" in said.err
    assert "did you mean “accelerator”" in said.err


def test_a_locked_machine_says_who_has_it(one: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    with MachineLock(one.machine("one"), "backup", "a backup program"):
        said = Said(capsys, "delete", "one", "--yes")
    assert said.code == 4
    assert "a backup program" in said.err
    assert f"pid {os.getpid()}" in said.err


def test_words_of_a_stranger_reach_the_terminal_without_their_sequences(
    one: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    file = one.machine("one").file
    hostile = r'"\e]52;c;AAAA\a\x9b31m"'
    file.write_text(file.read_text().replace("description: the first", f"description: {hostile}"))
    for words in (["list"], ["show", "one"]):
        said = Said(capsys, *words)
        assert "\x1b" not in said.out + said.err
        assert "\x9b" not in said.out + said.err


def test_a_machine_is_deleted_when_asked_twice(
    one: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(Said(capsys, "delete", "one", "-y", "--json").out)["deleted"] is True
    assert not one.machine("one").data.exists()


def log_of(paths: Paths) -> Path:
    """The first part of the machine's serial log, as nothing was printed yet."""
    directory = paths.machine("one").serial_log
    directory.mkdir(exist_ok=True)
    return directory / "0"


def test_logs_are_readable_raw_or_json(one: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    assert Said(capsys, "logs", "one").out == ""
    log = log_of(one)
    log.write_bytes(b"\x1b[31mred\x1b[0m \xc3\xa9\x1b]52;c;AAAA\x07!\r\n10 %\r20 %\r\nlogin: ")
    assert Said(capsys, "logs", "one").out == "red é!\n10 %\n20 %\nlogin: \n"
    assert json.loads(Said(capsys, "logs", "one", "--json").out)["text"].endswith("login: ")
    one.machine("one").qemu_log.write_text("qemu said\n")
    assert Said(capsys, "logs", "one", "--qemu").out == "qemu said\n"
    assert Said(capsys, "logs", "one", "--json", "-f").code == 2


def test_raw_logs_are_the_bytes(one: Paths, environ: dict[str, str]) -> None:
    data = bytes(range(256))
    log_of(one).write_bytes(data)
    done = subprocess.run(
        [*PROGRAM, "logs", "one", "--raw"], env=environ, cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout == data


def test_logs_follow_across_pieces_and_end_with_ctrl_c(one: Paths, environ: dict[str, str]) -> None:
    log = log_of(one)
    log.write_bytes(b"first \xe2")
    with subprocess.Popen(
        [*PROGRAM, "logs", "one", "-f"], env=environ, cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as following:  # fmt: skip
        assert following.stdout
        assert following.stdout.read(6) == b"first "
        with log.open("ab") as more:
            more.write(b"\x82\xac\x1b[1")
            more.flush()
            assert following.stdout.read(3) == "€".encode()
            more.write(b"mend\n")
            more.flush()
        assert following.stdout.readline() == b"end\n"
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 0
        assert following.stderr
        assert following.stderr.read() == b""


# -- profiles and images ----------------------------------------------------------


def test_profiles_are_listed_shown_and_checked(
    paths: Paths, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = [row["name"] for row in json.loads(Said(capsys, "profile", "list", "--json").out)]
    assert {"appliance", "sales-demo", "windows-11"} <= set(names)
    assert "sales-demo" in Said(capsys, "profile", "list").out
    assert "memory:" in Said(capsys, "profile", "show", "sales-demo").out
    good = tmp_path / "good.yaml"
    good.write_text("name: good\n")
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\nmemroy: 1 GiB\ncpu: {cores: many}\n")
    said = Said(capsys, "profile", "validate", str(good), str(bad), "sales-demo")
    assert said.code == 5
    assert said.out.splitlines() == [f"{good}: valid", "sales-demo: valid"]
    assert "bad.yaml:2:1" in said.err
    assert "bad.yaml:3" in said.err
    rows = json.loads(Said(capsys, "profile", "validate", "--json", str(bad)).out)
    assert rows[0]["valid"] is False
    assert len(rows[0]["problems"]) == 2
    assert json.loads(Said(capsys, "profile", "schema").out)["type"] == "object"


def test_images_are_listed(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    said = Said(capsys, "images", "list").out
    assert re.search(r"^appliance +to build", said, re.MULTILINE)
    assert re.search(r"^debian-12 +to pull, 430 MiB +Debian 12", said, re.MULTILINE)
    assert re.search(r"^windows-11 +to add", said, re.MULTILINE)
    rows = {row["name"]: row for row in json.loads(Said(capsys, "images", "list", "--json").out)}
    assert (rows["appliance"]["state"], rows["appliance"]["path"]) == ("to build", "")
    assert "user debian" in rows["debian-12"]["login"]


# -- editing ----------------------------------------------------------------------


def editor(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = directory / "editor"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(program))


def test_edit_saves_what_is_right(
    one: Paths, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    editor(home, monkeypatch, 'sed -i "s/32 MiB/64 MiB/" "$1"')
    assert Said(capsys, "edit", "one").out == "“one”: saved\n"
    assert "64 MiB" in one.machine("one").file.read_text()
    editor(home, monkeypatch, "exit 0")
    assert Said(capsys, "edit", "one").out == "“one”: unchanged\n"


def test_edit_keeps_what_is_wrong_and_says_where(
    one: Paths, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = one.machine("one").file.read_text()
    editor(home, monkeypatch, 'sed -i s/memory:/memroy:/ "$1"')
    said = Said(capsys, "edit", "one")
    assert said.code == 5
    assert "did you mean “memory”" in said.err
    kept = Path(said.lines[0].rpartition(" ")[2])
    assert "memroy" in kept.read_text()
    shutil.rmtree(kept.parent)
    assert one.machine("one").file.read_text() == before


def test_an_editor_that_fails_is_told(
    one: Paths, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISUAL", str(home / "nowhere"))
    assert Said(capsys, "edit", "one").code == 8
    editor(home, monkeypatch, "exit 3")
    assert "exit code 3" in Said(capsys, "edit", "one").err


# -- a rough world ------------------------------------------------------------------


def test_a_reader_that_has_had_enough_is_no_error(one: Paths, environ: dict[str, str]) -> None:
    for words in ("list", "--help", "show one --json", "profile schema"):
        program = f"{sys.executable} -m workstation {words}"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", f"{program} | true"],
            env=environ, cwd=ROOT, capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b""), words


def test_a_full_disk_below_standard_output_is_told(one: Paths, environ: dict[str, str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, "list"],
            env=environ,
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == errors.HostError.exit_code
    assert b"no space left" in done.stderr
    assert b"Traceback" not in done.stderr


def test_closed_streams_do_no_harm(one: Paths, environ: dict[str, str]) -> None:
    program = f"{sys.executable} -m workstation"
    for words, code in (("list >&-", 0), ("show none <&- >&- 2>&-", 3), ("list 2>&-", 0)):
        done = subprocess.run(
            ["sh", "-c", f"{program} {words}"],
            env=environ,
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, words
        assert b"Traceback" not in done.stderr


def test_a_character_set_without_our_quotes_gets_plain_ones(
    one: Paths, environ: dict[str, str]
) -> None:
    for encoding in ("latin-1", "ascii"):
        plain = environ | {"PYTHONIOENCODING": encoding, "TERM": "dumb"}
        done = run(plain, "show", "nobody")
        assert done.returncode == 3
        assert done.stderr == (
            'workstation: there is no machine "nobody"\n  -> see: workstation list\n'
        )
    assert "1 x Nehalem" in run(plain, "show", "one").stdout


def test_what_the_system_refuses_is_one_sentence(
    one: Paths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    # A file where a directory should be: refused for root too.
    (home / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "file"))
    said = Said(capsys, "show", "one")
    assert said.code == errors.HostError.exit_code
    assert said.lines == [f"workstation: {home}/file/workstation: not a directory"]


def test_a_fault_of_the_program_goes_to_a_file(
    one: Paths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(call: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("workstation.cli.listing.show", faulty)
    said = Said(capsys, "list")
    assert said.code == 1
    assert said.lines[0] == "workstation: the program has a fault: KeyError: 'surprise'"
    assert str(one.fault) in said.lines[1]
    assert "Traceback" not in said.err
    assert "raise KeyError" in one.fault.read_text()


def test_errors_that_happened_together_are_told_as_one(
    one: Paths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(call: object) -> None:
        raise ExceptionGroup("tasks", [OSError(28, "No space left on device", "/x")])

    monkeypatch.setattr("workstation.cli.listing.show", failing)
    said = Said(capsys, "list")
    assert said.code == errors.HostError.exit_code
    assert said.lines[0] == "workstation: /x: no space left on device"
    assert "make room" in said.lines[1]


def test_an_interrupt_is_one_line(
    one: Paths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(call: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("workstation.cli.listing.show", interrupted)
    said = Said(capsys, "list")
    assert (said.code, said.err) == (130, "workstation: interrupted\n")


def test_a_question_can_be_answered_no_or_interrupted(one: Paths, environ: dict[str, str]) -> None:
    for answer, code in ((b"n\n", 1), (b"\x04", 1), (b"\x03", 130)):
        pid, terminal = pty.fork()
        if not pid:
            os.chdir(ROOT)
            os.execve(sys.executable, [*PROGRAM, "delete", "one"], environ)
        seen = b""
        while b"[y/N]" not in seen:
            seen += os.read(terminal, 1000)
        with contextlib.suppress(OSError):
            while b"left" not in seen and b"interrupted" not in seen:
                # Again where it came to nothing: between the prompt and the reading of the answer
                # Python notices no interrupt.
                os.write(terminal, answer)
                while piece := select.select([terminal], [], [], 2)[0] and os.read(terminal, 1000):
                    seen += piece
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code, seen
        assert b"Traceback" not in seen
        os.close(terminal)
    assert one.machine("one").file.exists()


# -- quick --------------------------------------------------------------------------


def test_list_loads_no_slow_module(one: Paths, environ: dict[str, str]) -> None:
    assert run(environ, "list").returncode == 0
    code = (
        "import sys; from workstation.cli import main; main(['list']);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environ,
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    )
    assert "one" in done.stdout
    slow = {"asyncio", "pydantic", "yaml", "dataclasses", "textual", "qemu", "subprocess", "shutil"}
    assert not slow & set(done.stderr.split())

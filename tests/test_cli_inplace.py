"""Bundles used where they lie, on the command line: open, settle, and where the file is now."""

from pathlib import Path

import pytest

from tests.test_cli_layers import Said, make, profile
from workstation.cli import passphrase, streams
from workstation.cli.parser import parse
from workstation.errors import UsageError

__all__ = ["profile"]

pytestmark = pytest.mark.qemu


@pytest.fixture
def bundle(capsys: pytest.CaptureFixture[str], profile: str, tmp_path: Path) -> Path:
    """A machine that is off, in a file, and gone from the library."""
    make(capsys, profile, "one")
    file = tmp_path / "one.vmbundle"
    assert Said(capsys, "export", "one", str(file)).code == 0
    assert Said(capsys, "delete", "one", "--yes").code == 0
    return file


def end(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert Said(capsys, "stop", name, "--force").code == 0


def test_a_bundle_is_opened_by_its_path_alone() -> None:
    assert parse(["web.vmbundle"]).handler == "inplace:open_"
    assert parse(["./a b/WEB.VMBUNDLE", "--cold"]).file == "./a b/WEB.VMBUNDLE"
    assert parse(["web.ova"]).handler == "carry:import_"


@pytest.mark.parametrize("file", ["web.vmbundle", "web.ova"])
def test_on_a_terminal_a_file_alone_is_looked_into_on_the_screens(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "interactive", lambda: True)
    call = parse([file])
    assert (call.handler, call.file) == ("screens:library", file)
    assert parse([]).file == ""
    assert parse([file, "--json"]).handler != "screens:library"
    assert parse(["open", file]).handler == "inplace:open_"


def test_open_settle_and_the_stick_is_needed_no_more(
    capsys: pytest.CaptureFixture[str], bundle: Path
) -> None:
    said = Said(capsys, str(bundle))
    assert said.code == 0, said.err
    assert said.out.splitlines()[0] == f"“one”: boots, and reads in {bundle}"
    assert "(this computer)" in said.out
    assert Said(capsys, "show", "one", "--json").json["reads"] == str(bundle)
    settled = Said(capsys, "settle", "one")
    assert settled.code == 0
    assert "copied, the stick is needed no more" in settled.out
    bundle.unlink()
    assert Said(capsys, "settle", "one", "--json").json["layers"] == 0
    assert Said(capsys, "show", "one", "--json").json["reads"] == ""
    end(capsys, "one")
    assert Said(capsys, "start", "one").code == 0
    assert Said(capsys, "store", "check").code == 0
    end(capsys, "one")


def test_a_directory_stands_for_its_one_bundle(
    capsys: pytest.CaptureFixture[str], bundle: Path
) -> None:
    stick = bundle.parent
    said = Said(capsys, "open", str(stick))
    assert said.out.splitlines()[0] == f"“one”: boots, and reads in {bundle}", said.err
    end(capsys, "one")
    assert "“one”" in Said(capsys, "inspect", str(stick)).out
    (stick / "two.vmbundle").touch()
    said = Said(capsys, "import", str(stick))
    assert said.code == 2
    assert f"there are 2 bundles in {stick}\n  → name one: one.vmbundle, two.vmbundle" in said.err
    (stick / "empty").mkdir()
    said = Said(capsys, "open", str(stick / "empty"))
    assert said.code == 3
    assert f"there is no bundle in {stick / 'empty'}" in said.err


def test_an_encrypted_bundle_on_the_command_line(
    capsys: pytest.CaptureFixture[str], profile: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Looked at without its passphrase, opened with it, and asked for again after a log-out."""
    file, words = tmp_path / "one.vmbundle", tmp_path / "words"
    words.write_text("correct horse battery staple\n")
    given = ("--passphrase-file", str(words))
    make(capsys, profile, "one")
    assert Said(capsys, "export", "one", str(file), "--encrypt", *given).code == 0
    assert Said(capsys, "delete", "one", "--yes").code == 0

    def nobody(prompt: str) -> str:
        raise UsageError("nobody is there to type it", hint="--passphrase-file FILE")

    monkeypatch.setattr(passphrase, "_typed", nobody)
    closed = Said(capsys, "inspect", str(file), "--json").json
    assert (closed["encrypted"], closed["trusted"]) == (True, True)
    assert "one" not in Said(capsys, "inspect", str(file)).out.replace(str(file), "")
    assert Said(capsys, "inspect", str(file), "--verify").code == 2
    assert Said(capsys, "open", str(file)).code == 2
    opened = Said(capsys, "open", str(file), *given)
    assert opened.code == 0, opened.err
    assert "locked" in Said(capsys, "unlock", "--forget", "one").out
    end(capsys, "one")
    locked = Said(capsys, "start", "one")
    assert locked.code == 2
    assert "its passphrase is needed" in locked.err
    monkeypatch.setattr(passphrase, "_typed", lambda prompt: words.read_text().strip())
    assert Said(capsys, "start", "one").code == 0
    end(capsys, "one")
    assert Said(capsys, "unlock", "one", *given).code == 0


def test_a_taken_name_is_told_and_another_may_be_given(
    capsys: pytest.CaptureFixture[str], bundle: Path
) -> None:
    opened = Said(capsys, "open", str(bundle), "--settle", "--json").json
    assert (opened["name"], opened["opened"]["resumes"]) == ("one", False)
    again = Said(capsys, "open", str(bundle), "--no-verify")
    assert "there is a machine “one” already: this one is called “one-2”" in again.err
    taken = Said(capsys, "open", str(bundle), "--name", "one")
    assert taken.code == 2
    assert "already" in taken.err
    for name in ("one", "one-2"):
        end(capsys, name)


def test_a_file_that_was_moved_is_found_again_when_it_is_told(
    capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path
) -> None:
    assert Said(capsys, "open", str(bundle), "--no-verify").code == 0
    end(capsys, "one")
    moved = bundle.rename(tmp_path / "moved.vmbundle")
    away = Said(capsys, "start", "one")
    assert away.code == 3
    assert "one.vmbundle is not there" in away.err
    assert "--for NAME" in away.err
    assert Said(capsys, "open", str(moved), "--for", "two").code == 3
    found = Said(capsys, "open", str(moved), "--for", "one")
    assert found.code == 0
    assert "from its next start or resume on" in found.out
    assert Said(capsys, "start", "one").code == 0
    end(capsys, "one")


def test_what_is_no_bundle_is_not_opened(
    capsys: pytest.CaptureFixture[str], paths: object, tmp_path: Path
) -> None:
    file = tmp_path / "x.vmbundle"
    assert Said(capsys, "open", str(file)).code == 3
    file.write_bytes(b"no bundle" * 1000)
    said = Said(capsys, "open", str(file))
    assert (said.code, said.out) == (5, "")
    assert "is not a bundle" in said.err

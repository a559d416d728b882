"""`workstation set`, `forward` and `usb`, as they are typed."""

import json
import socket
from pathlib import Path

import pytest

from workstation.cli import main
from workstation.paths import Paths

pytestmark = pytest.mark.qemu


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(list(words)) == code
    out, errors = capsys.readouterr()
    return errors if code else out


@pytest.mark.usefixtures("paths")
def test_a_machine_is_changed_and_it_is_said_when_that_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "tiny.yaml"
    profile.write_text("name: tiny\nmemory: 64 MiB\n")
    assert main(["create", "one", "-p", str(profile), "--start"]) == 0
    before = Paths.from_environment().machine("one").file.read_text()
    wanted = ("set", "one", "memory=48 MiB", "boot.menu=true", "tags=[lab]")
    dry = said(capsys, *wanted, "--dry-run")
    assert Paths.from_environment().machine("one").file.read_text() == before
    assert said(capsys, *wanted) == dry
    assert dry.splitlines() == [
        "“one”: tags = lab: now",
        "“one”: memory = 48 MiB: now, and the rest at the next start (its balloon asks the guest"
        " to do with that)",
        "“one”: boot.menu = true: at the next start",
    ]
    assert said(capsys, *wanted) == "“one”: nothing changes\n"
    assert "unknown key" in said(capsys, "set", "one", "memroy=1", code=5)
    assert "not key=value" in said(capsys, "set", "one", "memory", code=2)

    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        said(capsys, "forward", "add", "one", f"{taken}:80")
    (row,) = json.loads(said(capsys, "forward", "list", "one", "--json"))
    assert row["asked"] == f"{taken}:80"
    assert "was taken" in row["state"]
    assert "“x” is no forward" in said(capsys, "forward", "add", "one", "x", code=2)
    assert "no network adapter 3" in said(
        capsys, "forward", "add", "one", "1:1", "--network", "3", code=2
    )
    said(capsys, "forward", "remove", "one", row["forward"])
    assert said(capsys, "forward", "list", "one") == "“one” has no forwards\n"
    assert "no forward" in said(capsys, "forward", "remove", "one", "8080:80", code=3)
    assert json.loads(said(capsys, "usb", "list", "--json")) is not None
    assert main(["stop", "one", "--force"]) == 0

"""Export, import and inspect of other programs' formats, as a person types them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import foreign_samples as samples
from workstation.paths import Paths

pytestmark = pytest.mark.usefixtures("paths")


def workstation(*words: object, code: int = 0) -> tuple[str, str]:
    """What it prints, and what it complains about."""
    argv = [sys.executable, "-m", "workstation", *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def test_there_and_back(tmp_path: Path) -> None:
    disk = samples.image(tmp_path, "vmdk", "-o", "subformat=streamOptimized", name="Old.dat")
    out, _ = workstation("import", disk, "--name", "web")
    assert out == "“web”: imported (disk image); workstation start web: it boots\n"
    assert "2 of 2 are whole" in workstation("store", "check")[0]
    out, _ = workstation("export", "web", tmp_path, "--format", "ova", "--json")
    data = json.loads(out)
    assert data["files"] == [str(tmp_path / "web.ova")]
    assert data["left_out"] == []
    out, _ = workstation("inspect", tmp_path / "web.ova", "--json")
    looked = json.loads(out)
    assert (looked["kind"], looked["name"], looked["problems"]) == ("OVF package", "web", [])
    assert looked["disks"] == [{"file": "web-disk1.vmdk", "format": "vmdk", "size": 3 * 2**20}]
    out, _ = workstation("import", tmp_path / "web.ova", "--json")
    assert json.loads(out) == {"name": "web-2", "kind": "OVF package", "left_out": []}
    out, _ = workstation("export", "web", tmp_path, "--format", "libvirt")
    assert f"“web”: in {tmp_path}/web.xml, {tmp_path}/web.qcow2" in out


def test_what_is_wrong_is_said(tmp_path: Path, paths: Paths) -> None:
    bad = samples.backed(tmp_path, "/etc/passwd")
    out, _ = workstation("inspect", bad, code=5)
    assert "not taken: " in out
    _, words = workstation("import", bad, code=5)
    assert "keeps part of its content in another file" in words
    assert "→" in words
    assert "Traceback" not in words
    _, words = workstation("import", tmp_path / "gone", code=3)
    assert "there is no file" in words
    workstation("import", samples.raw(tmp_path, "web.raw"))
    target = tmp_path / "web.vdi"
    _, words = workstation("export", "web", target, "--format", "vdi", "--flatten", code=2)
    assert "--flatten is for bundles" in words
    _, words = workstation("export", "web", target, "--format", "vdi", "--encrypt", code=2)
    assert "--encrypt is for bundles" in words
    _, words = workstation("export", "web", "-", "--format", "vdi", code=2)
    assert "only bundles go through a pipe" in words
    _, words = workstation("import", tmp_path / "web.raw", "--load-memory", "x", code=2)
    assert "only bundles hold memory" in words
    target.touch()
    _, words = workstation("export", "web", target, "--format", "vdi", code=2)
    assert "already" in words


def test_control_characters_of_strangers_are_not_printed(tmp_path: Path) -> None:
    text = samples.virtualbox().replace(b">sound<", b">\xc2\x9b31mred<").replace(b">35<", b">99<")
    disk = samples.stream(tmp_path).read_bytes()
    path = samples.ova(tmp_path / "a.ova", {"a.ovf": text, "web-disk001.vmdk": disk})
    for words in ("inspect", "import"):
        out, _ = workstation(words, path)
        assert "red" in out
        assert "\x9b" not in out

"""tools/setup, run with a PATH of stubs that write down how they were called."""

import os
import pty
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = ("cat", "cut", "dirname", "mkdir", "mktemp", "rm", "sha256sum", "cp", "touch")

RECORD = 'echo "${0##*/} $*" >>"$CALLS"\n'

# Installing a package makes its programs and files appear.
INSTALL = """
for word; do
    case $word in
        qemu-system-x86) cp "$BIN/true" "$BIN/qemu-system-x86_64" ;;
        qemu-utils) cp "$BIN/true" "$BIN/qemu-img" ;;
        ovmf) mkdir -p "$OVMF"; touch "$OVMF/OVMF_CODE.fd" ;;
        swtpm) cp "$BIN/true" "$BIN/swtpm" ;;
        swtpm-tools) cp "$BIN/true" "$BIN/swtpm_setup" ;;
        mmdebstrap | passt) cp "$BIN/true" "$BIN/$word" ;;
        python3.11-venv) touch "$BIN/ensurepip" ;;
    esac
done
"""
PYTHON = """
case "$*" in
    *version_info\\ \\<*) [ ! -e "$BIN/too-old" ]; exit ;;
    *ensurepip*) [ -e "$BIN/ensurepip" ]; exit ;;
    *python%d*) echo python3.11-venv; exit ;;
    --version) echo Python 3.9.2; exit ;;
    *"import workstation"*) exit ;;
esac
echo "${0##*/} $*" >>"$CALLS"
case "$*" in
    "-m venv --clear "*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
esac
"""
SUDO = """
if [ "$1" = -n ]; then [ -e "$BIN/sudo-asks-nothing" ] || exit 1; shift; fi
if [ "$1" = -v ] || [ "$1" = true ]; then exit; fi
"$@"
"""


@dataclass
class Computer:
    """A made-up one; `tree` holds the project, `bin` is all that is on PATH."""

    base: Path
    uid: int = 0

    @property
    def bin(self) -> Path:
        return self.base / "bin"

    @property
    def tree(self) -> Path:
        return self.base / "a project"

    def stub(self, name: str, body: str = "", record: str = RECORD) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{record}{body}")
        path.chmod(0o755)

    def calls(self) -> list[str]:
        path = self.base / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def setup(
        self, *arguments: str, stdin: int = subprocess.DEVNULL
    ) -> subprocess.CompletedProcess[str]:
        self.stub("id", f"echo {self.uid}", record="")
        environ = {
            "PATH": str(self.bin),
            "BIN": str(self.bin),
            "CALLS": str(self.base / "calls"),
            "OVMF": str(self.base / "root/usr/share/OVMF"),
            "SETUP_ROOT": str(self.base / "root"),
            "TMPDIR": str(self.base),
        }
        command = [str(self.tree / "tools/setup"), *arguments]
        return subprocess.run(
            command, stdin=stdin, env=environ, capture_output=True, text=True, cwd="/", timeout=60
        )

    def setup_on_terminal(self, answer: bytes) -> subprocess.CompletedProcess[str]:
        ours, theirs = pty.openpty()
        try:
            os.write(ours, answer)
            return self.setup(stdin=theirs)
        finally:
            os.close(ours)
            os.close(theirs)


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    """Fresh: Python without venv, sudo and apt-get, and nothing that is needed."""
    it = Computer(tmp_path)
    it.bin.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (it.bin / tool).symlink_to(found)
    it.stub("true", record="")
    it.stub("apt-get", INSTALL)
    it.stub("sudo", SUDO)
    it.stub("python3", PYTHON, record="")
    (it.tree / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools/setup", it.tree / "tools/setup")
    (it.tree / "requirements").mkdir()
    for name in (
        *(f"requirements/{name}.lock" for name in ("run", "dev")),
        "pyproject.toml",
    ):
        (it.tree / name).write_text(f"{name}\n")
    return it


PACKAGES = "python3.11-venv qemu-system-x86 qemu-utils ovmf swtpm swtpm-tools"
INSTALLED = f"apt-get install --yes --no-install-recommends {PACKAGES}"


def test_root_installs_all_without_a_question_and_only_once(computer: Computer) -> None:
    done = computer.setup()
    assert (done.returncode, done.stderr) == (0, "")
    venv = computer.tree / ".venv"
    assert computer.calls() == [
        "apt-get update",
        INSTALLED,
        f"python3 -m venv --clear {venv}",
        "python -m pip install --require-hashes -r requirements/run.lock",
        "python -m pip install --no-deps --no-build-isolation --editable .",
    ]
    again = computer.setup()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert computer.calls() == []


def test_without_a_terminal_sudo_is_used_if_it_asks_nothing(computer: Computer) -> None:
    computer.uid = 1000
    (computer.bin / "sudo-asks-nothing").touch()
    assert computer.setup().returncode == 0
    calls = computer.calls()
    assert calls[:5] == [
        "sudo -n true",
        "sudo -n apt-get update",
        "apt-get update",
        f"sudo -n {INSTALLED}",
        INSTALLED,
    ]


def test_without_a_terminal_or_rights_it_says_what_to_run(computer: Computer) -> None:
    computer.uid = 1000
    done = computer.setup()
    assert done.returncode == 1
    assert f"sudo apt-get update && sudo {INSTALLED}" in done.stderr
    assert "Python 3.11 or newer" not in done.stderr
    assert "still missing: venv qemu qemu-img" in done.stderr
    assert computer.calls() == ["sudo -n true"]


@pytest.mark.parametrize("answer", [b"\n", b"y\n"])
def test_on_a_terminal_it_asks_first(computer: Computer, answer: bytes) -> None:
    computer.uid = 1000
    done = computer.setup_on_terminal(answer)
    assert done.returncode == 0
    assert f"sudo apt-get update && sudo {INSTALLED}" in done.stdout
    assert "[Y/n]" in done.stdout
    assert f"sudo {INSTALLED}" in computer.calls()


def test_a_no_is_a_no(computer: Computer) -> None:
    computer.uid = 1000
    done = computer.setup_on_terminal(b"n\n")
    assert done.returncode == 1
    assert "To do it yourself" in done.stderr
    assert computer.calls() == []


def test_it_goes_on_without_what_only_some_machines_need(computer: Computer) -> None:
    computer.uid = 1000
    (computer.bin / "ensurepip").touch()
    for program in ("qemu-system-x86_64", "qemu-img"):
        computer.stub(program)
    done = computer.setup()
    assert done.returncode == 0
    assert "Going on without: ovmf swtpm" in done.stdout
    assert (computer.tree / ".venv/setup.stamp").exists()


def test_an_old_python_is_named(computer: Computer) -> None:
    (computer.bin / "too-old").touch()
    done = computer.setup()
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed; here is: Python 3.9.2" in done.stderr


def test_dev_serves_as_run_but_not_the_other_way_round(computer: Computer) -> None:
    computer.setup()
    computer.calls()
    for program in ("mmdebstrap", "passt"):
        computer.stub(program)
    assert computer.setup("--dev").returncode == 0
    assert computer.calls() == [
        "python -m pip --version",
        "python -m pip install --require-hashes -r requirements/dev.lock",
        "python -m pip install --no-deps --no-build-isolation --editable .",
    ]
    computer.setup()
    assert computer.calls() == []


def test_what_only_tests_need_is_installed_for_development_only(computer: Computer) -> None:
    computer.setup()
    assert not [call for call in computer.calls() if "mmdebstrap" in call]
    assert computer.setup("--dev").returncode == 0
    install = "apt-get install --yes --no-install-recommends mmdebstrap passt"
    assert computer.calls()[:2] == ["apt-get update", install]
    # Somebody who is not root needs a user namespace with more than one user in it.
    computer.uid = 1000
    (computer.bin / "sudo-asks-nothing").touch()
    computer.setup("--dev")
    assert install.replace("mmdebstrap passt", "uidmap") in computer.calls()


def test_what_only_long_tests_use_is_installed_for_them_only(computer: Computer) -> None:
    computer.stub("mmdebstrap")
    computer.setup("--dev")
    assert not [call for call in computer.calls() if "virt-v2v" in call]
    assert computer.setup("--long").returncode == 0
    wanted = "virt-v2v nbdkit libnbd-bin libvirt-clients libxml2-utils"
    install = f"apt-get install --yes --no-install-recommends {wanted}"
    assert computer.calls() == ["apt-get update", install]


def test_a_changed_lock_is_installed_again(computer: Computer) -> None:
    computer.setup()
    computer.calls()
    (computer.tree / "requirements/run.lock").write_text("other\n")
    computer.setup()
    assert len(computer.calls()) == 3


def test_a_moved_tree_gets_a_new_environment(computer: Computer) -> None:
    computer.setup()
    computer.calls()
    stamp = computer.tree / ".venv/setup.stamp"
    words = stamp.read_text().split(maxsplit=2)
    stamp.write_text(f"{words[0]} {words[1]} /where/it/was\n")
    computer.setup()
    assert f"python3 -m venv --clear {computer.tree}/.venv" in computer.calls()


def test_a_failure_shows_the_whole_output_and_leaves_no_stamp(computer: Computer) -> None:
    failing = PYTHON.replace(
        'echo "${0##*/} $*"', 'case "$*" in *lock*) echo no wheel; exit 3;; esac\n: '
    )
    computer.stub("python3", failing, record="")
    done = computer.setup()
    assert done.returncode == 1
    assert "no wheel" in done.stderr
    assert "setup: the Python packages could not be installed" in done.stderr
    assert not (computer.tree / ".venv/setup.stamp").exists()


@pytest.mark.parametrize(
    ("manager", "install"),
    [
        ("dnf", "dnf install --assumeyes qemu-system-x86 qemu-img edk2-ovmf swtpm swtpm-tools"),
        ("pacman", "pacman -S --needed --noconfirm qemu-system-x86 qemu-img edk2-ovmf swtpm"),
        ("zypper", "zypper --non-interactive install qemu-x86 qemu-tools qemu-ovmf-x86_64 swtpm"),
    ],
)
def test_other_distributions(computer: Computer, manager: str, install: str) -> None:
    (computer.bin / "apt-get").unlink()
    (computer.bin / "ensurepip").touch()
    computer.stub(manager)
    computer.setup()
    assert computer.calls() == [install]


def locked(name: str) -> set[str]:
    lines = (ROOT / f"requirements/{name}.lock").read_text().splitlines()
    return {line.rstrip(" \\") for line in lines if "==" in line}


def test_the_locks_agree() -> None:
    run, dev = locked("run"), locked("dev")
    assert run < dev, "make lock"
    assert {"hatchling", "editables"} <= {line.partition("==")[0] for line in run}

"""Each way in which KVM can be unusable, and what is said about it."""

import errno
import grp
import os
import stat
from pathlib import Path

import pytest

from workstation.qemu import kvm_proof
from workstation.qemu.kvm import KvmPlaces, explain, look, no_permission, prove, virtualisation_flag


def cpuinfo(path: Path, flags: str) -> Path:
    file = path / "cpuinfo"
    file.write_text(f"processor\t: 0\nflags\t\t: fpu {flags} lm\n\nprocessor\t: 1\n")
    return file


def places(path: Path, flags: str = "vmx", processor: str = "x86_64") -> KvmPlaces:
    return KvmPlaces(path / "kvm", cpuinfo(path, flags), processor)


@pytest.mark.parametrize(
    ("flags", "found"), [("vmx", "vmx"), ("svm", "svm"), ("vmx_something svm_lock", "")]
)
def test_the_flag_is_a_whole_word(tmp_path: Path, flags: str, found: str) -> None:
    assert virtualisation_flag(cpuinfo(tmp_path, flags)) == found


def test_without_cpuinfo_there_is_no_flag(tmp_path: Path) -> None:
    assert virtualisation_flag(tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("flags", "mend"),
    [
        ("vmx", "sudo modprobe kvm_intel"),
        ("svm", "sudo modprobe kvm_amd"),
        ("", "nested virtualisation"),
    ],
)
def test_no_device(tmp_path: Path, flags: str, mend: str) -> None:
    state = look(places(tmp_path, flags))
    assert not state.usable
    assert f"there is no {tmp_path}/kvm" in state.reason
    assert mend in state.mend


def test_another_processor(tmp_path: Path) -> None:
    state = look(places(tmp_path, processor="aarch64"))
    assert not state.usable
    assert "aarch64" in state.reason


def test_it_opens_but_the_cpu_cannot(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch()
    state = look(places(tmp_path, flags=""))
    assert not state.usable
    assert "the CPU shows neither vmx nor svm: a guest would hang" in state.reason
    assert "nested virtualisation" in state.mend


def test_something_else_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch()
    state = look(places(tmp_path))
    assert not state.usable
    assert "does not answer as KVM" in state.reason


@pytest.mark.skipif(os.getuid() == 0, reason="root may open everything")
def test_not_allowed(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch(mode=0)
    state = look(places(tmp_path))
    assert not state.usable
    assert "you may not open" in state.reason


class Device(type(Path())):  # type: ignore[misc]
    """A path whose owner is made up."""

    mode = 0o660
    group = 0

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat_result((stat.S_IFCHR | self.mode, 0, 0, 1, 0, self.group, 0, 0, 0, 0))


def device(group: int, mode: int = 0o660) -> Device:
    path = Device("/dev/kvm")
    path.group, path.mode = group, mode
    return path


@pytest.fixture
def kvm_group(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Group 108 is `kvm`; the members can be set."""
    members: list[str] = []
    entry = grp.struct_group(("kvm", "x", 108, members))
    monkeypatch.setattr(grp, "getgrgid", {108: entry}.__getitem__)
    monkeypatch.setattr(grp, "getgrnam", {"kvm": entry}.__getitem__)
    monkeypatch.setenv("USER", "ann")
    return members


def test_the_group_to_join(kvm_group: list[str]) -> None:
    state = no_permission(device(108), frozenset({1000}))
    assert "the group kvm" in state.reason
    assert state.mend == "sudo usermod -aG kvm $USER, then log in again"


def test_joined_but_not_logged_in_again(kvm_group: list[str]) -> None:
    kvm_group.append("ann")
    assert no_permission(device(108), frozenset({1000})).mend.endswith("log in again")
    assert "usermod" not in no_permission(device(108), frozenset({1000})).mend


def test_a_group_without_a_name(kvm_group: list[str]) -> None:
    assert "usermod -aG 4711" in no_permission(device(4711), frozenset()).mend


@pytest.mark.parametrize(("group", "mode"), [(0, 0o660), (108, 0o600)])
def test_nobody_is_told_to_join_root_or_a_group_that_cannot_open_it(
    kvm_group: list[str], group: int, mode: int
) -> None:
    assert no_permission(device(group, mode), frozenset()).mend == (
        "sudo setfacl -m u:$USER:rw /dev/kvm"
    )


def test_another_hypervisor() -> None:
    state = explain(f"KVM_CREATE_VM {errno.EBUSY}")
    assert not state.usable
    assert "VirtualBox" in state.reason


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (f"KVM_CREATE_VCPU {errno.EINVAL}", "KVM_CREATE_VCPU failed: Invalid argument"),
        ("exit 17", "ended with exit 17"),
        ("", "did not end"),
        ("nonsense", "did not end"),
    ],
)
def test_a_proof_that_fails(outcome: str, reason: str) -> None:
    state = explain(outcome)
    assert not state.usable
    assert reason in state.reason


async def test_a_proof_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "hang.py"
    note = tmp_path / "pid"
    program.write_text(
        f"import os, signal\nopen({str(note)!r}, 'w').write(str(os.getpid()))\nsignal.pause()\n"
    )
    monkeypatch.setattr(kvm_proof, "__file__", str(program))
    state = await prove(Path("/dev/kvm"), seconds=1.0)
    assert "did not end" in state.reason
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


async def test_the_proof_on_something_that_is_not_kvm(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch()
    assert not (await prove(tmp_path / "kvm")).usable


async def test_the_proof_on_this_host_ends_with_an_answer() -> None:
    state = await prove(Path("/dev/kvm"))
    assert state.usable or state.reason

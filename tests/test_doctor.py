"""What `workstation doctor` says, on hosts of every kind."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import psutil
import pytest

from workstation.core.host import doctor
from workstation.core.host.doctor_report import as_data, report
from workstation.model.host import Finding, FirmwareFiles, HostFacts, Level
from workstation.paths import Paths

PLAIN = FirmwareFiles("/usr/share/OVMF/CODE.fd", "/usr/share/OVMF/VARS.fd", secure=False)
SECURE = FirmwareFiles("/usr/share/OVMF/CODE.ms.fd", "/usr/share/OVMF/VARS.ms.fd", secure=True)
GOOD = HostFacts(
    qemu="/usr/bin/qemu-system-x86_64",
    qemu_version=(9, 2, 1),
    qemu_img="/usr/bin/qemu-img",
    qemu_img_version=(9, 2, 1),
    kvm=True,
    firmware=(PLAIN, SECURE),
    swtpm="/usr/bin/swtpm",
    virtiofsd="/usr/libexec/virtiofsd",
    memory=2**34,
)


class Host:
    """Facts and a directory; `ask` says what the doctor finds there."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.base = base
        self.monkeypatch = monkeypatch
        self.paths = Paths(*(base / name for name in ("data", "config", "cache", "run")))
        self.os_release = base / "os-release"
        self.os_release.write_text("ID=debian\n")
        self.environ = {"PATH": str(base)}
        for name in ("apt-get", "passt", "gpgv"):
            (base / name).touch(mode=0o755)

    async def ask(self, facts: HostFacts = GOOD) -> dict[str, Finding]:
        async def probe(*_: object, **__: object) -> HostFacts:
            return facts

        self.monkeypatch.setattr(doctor, "probe", probe)
        found = await doctor.findings(self.paths, self.environ, os_release=self.os_release)
        return {finding.subject: finding for finding in found}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Not in pytest's own directory, whose path is too long for sockets."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**33))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**36))
    with TemporaryDirectory(prefix="ws-", dir="/tmp") as base:
        yield Host(Path(base), monkeypatch)


async def test_a_host_with_everything(host: Host) -> None:
    found = await host.ask()
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert not any(finding.mend for finding in found.values())
    assert found["QEMU"].text == "9.2.1 at /usr/bin/qemu-system-x86_64"
    assert found["Secure Boot"].text == SECURE.code


async def test_a_host_with_nothing(host: Host) -> None:
    (host.base / "gpgv").unlink()
    found = await host.ask(HostFacts(kvm_reason="there is no /dev/kvm", kvm_mend="modprobe"))
    mends = {subject: finding.mend for subject, finding in found.items() if finding.mend}
    assert mends == {
        "QEMU": "sudo apt-get install qemu-system-x86",
        "qemu-img": "sudo apt-get install qemu-utils",
        "KVM": "modprobe",
        "UEFI": "sudo apt-get install ovmf",
        "Secure Boot": "sudo apt-get install ovmf",
        "swtpm": "sudo apt-get install swtpm swtpm-tools",
        "virtiofsd": "sudo apt-get install virtiofsd",
        "gpgv": "sudo apt-get install gpgv",
    }
    problems = [name for name, finding in found.items() if finding.level is Level.PROBLEM]
    assert problems == ["QEMU", "qemu-img", "UEFI"]


async def test_the_distribution_at_hand(host: Host) -> None:
    host.os_release.write_text("ID=fedora\n")
    found = await host.ask(HostFacts())
    assert found["QEMU"].mend == "sudo dnf install qemu-system-x86"
    host.os_release.unlink()
    found = await host.ask(HostFacts())
    assert "package manager" in found["QEMU"].mend


async def test_an_old_qemu(host: Host) -> None:
    found = (await host.ask(replace(GOOD, qemu_version=(6, 2, 0))))["QEMU"]
    assert found.level is Level.PROBLEM
    assert "6.2.0" in found.text
    assert "7.2 is needed" in found.text


async def test_a_qemu_that_does_not_run(host: Host) -> None:
    found = (await host.ask(replace(GOOD, qemu_version=(0, 0, 0))))["QEMU"]
    assert found.level is Level.PROBLEM
    assert "--version" in found.mend


async def test_without_kvm_the_consequence_is_said(host: Host) -> None:
    facts = replace(GOOD, kvm=False, kvm_reason="no vmx", kvm_mend="nest it")
    found = (await host.ask(facts))["KVM"]
    assert found.level is Level.NOTE
    assert "no vmx" in found.text
    assert "no isolation" in found.text
    assert found.mend == "nest it"


async def test_a_qemu_without_user_networking(host: Host) -> None:
    assert (await host.ask(replace(GOOD, user_network=False)))["Network"].level is Level.PROBLEM
    assert "Network" not in await host.ask(HostFacts(user_network=False))


async def test_little_memory_and_little_room(host: Host) -> None:
    host.monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**29))
    host.monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    found = await host.ask()
    assert (found["Memory"].level, found["Disk"].level) == (Level.NOTE, Level.NOTE)
    assert "512 MiB free of 16 GiB" in found["Memory"].text
    assert "1 GiB free" in found["Disk"].text
    assert found["Disk"].mend


async def test_a_file_where_a_directory_should_be(host: Host) -> None:
    for place in (host.paths.data, host.paths.cache, host.paths.runtime):
        place.touch()
    found = await host.ask()
    for subject in ("Disk", "Images", "Sockets"):
        assert found[subject].level is Level.PROBLEM
        assert found[subject].mend


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
async def test_a_directory_that_cannot_be_written_to(host: Host) -> None:
    host.paths.data.mkdir(mode=0o500)
    assert (await host.ask())["Disk"].level is Level.PROBLEM


async def test_the_images_that_are_there(host: Host) -> None:
    (host.paths.images / "appliance").mkdir(parents=True)
    assert (await host.ask())["Images"].text == f"appliance at {host.paths.images}"


async def test_without_apt_the_appliance_cannot_be_built(host: Host) -> None:
    (host.base / "apt-get").unlink()
    found = (await host.ask())["Appliance"]
    assert found.level is Level.NOTE
    assert found.mend


async def test_sockets_that_others_could_reach(host: Host) -> None:
    host.paths.runtime.mkdir()
    host.paths.runtime.chmod(0o755)
    found = (await host.ask())["Sockets"]
    assert found.level is Level.NOTE
    assert "0755" in found.text
    host.paths.prepare()
    assert (await host.ask())["Sockets"].level is Level.OK


@pytest.mark.parametrize(("length", "level"), [(70, Level.NOTE), (110, Level.PROBLEM)])
async def test_a_long_path_leaves_little_room_for_names(
    host: Host, length: int, level: Level
) -> None:
    runtime = Path("/tmp") / ("x" * (length - 5))
    host.paths = Paths(host.paths.data, host.paths.config, host.paths.cache, runtime)
    found = (await host.ask())["Sockets"]
    assert found.level is level
    assert "letters" in found.text


async def test_the_report_has_a_glyph_a_word_and_the_mend(host: Host) -> None:
    text = report(list((await host.ask(HostFacts(kvm_reason="none"))).values()), width=80)
    lines = text.splitlines()
    assert lines[0].split() == ["✗", "problem", "QEMU", "not", "installed"]
    assert lines[1].strip() == "→ sudo apt-get install qemu-system-x86"
    assert "• note     KVM" in text
    assert "✓ ok       Memory" in text
    assert lines[-1] == "3 problems to mend."
    assert max(map(len, lines)) <= 80
    assert report([]) == "\nMachines can run here."


def test_as_data_is_json() -> None:
    found = [Finding("KVM", Level.NOTE, "slow", "nest it")]
    assert json.loads(json.dumps(as_data(found))) == [
        {"subject": "KVM", "level": "note", "text": "slow", "mend": "nest it"}
    ]


@pytest.mark.qemu
async def test_this_host(tmp_path: Path) -> None:
    paths = Paths(*(tmp_path / name for name in ("data", "config", "cache", "run")))
    found = {finding.subject: finding for finding in await doctor.findings(paths)}
    assert found["QEMU"].level is Level.OK
    assert found["qemu-img"].level is Level.OK
    assert {"KVM", "UEFI", "swtpm", "Memory", "Disk", "Images", "Sockets"} <= set(found)
    assert not paths.data.exists(), "looking makes nothing"

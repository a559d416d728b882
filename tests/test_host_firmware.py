"""UEFI builds are found as QEMU's docs/interop/firmware.json says."""

import json
from pathlib import Path
from typing import Any

import pytest

from workstation.errors import HostError
from workstation.model.host import HostFacts
from workstation.model.profile import Firmware
from workstation.qemu.firmware import descriptor_directories, find_all, find_firmware

TYPES = {"q35": "pc-q35-7.2", "pc": "pc-i440fx-7.2", "pc-q35-7.2": "pc-q35-7.2"}


class Host:
    """Three directories of descriptors, the most specific first."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.directories = [base / "user", base / "etc", base / "usr"]
        for directory in self.directories:
            directory.mkdir()

    def file(self, name: str) -> str:
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return str(path)

    def descriptor(
        self, where: int, name: str, *features: str, code: str = "code", **change: Any
    ) -> None:
        value = {
            "interface-types": ["uefi"],
            "mapping": {
                "device": "flash",
                "executable": {"filename": self.file(code), "format": "raw"},
                "nvram-template": {"filename": self.file("vars"), "format": "qcow2"},
            },
            "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
            "features": list(features),
        } | change
        (self.directories[where] / name).write_text(json.dumps(value))

    def facts(self) -> HostFacts:
        found = find_all(self.directories, self.base / "share")
        return HostFacts(machine_types=TYPES, firmware=tuple(found))

    def code(self, firmware: Firmware = Firmware.UEFI, machine: str = "q35") -> str:
        return Path(find_firmware(self.facts(), firmware, machine).code).name


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_directories_with_the_most_specific_first() -> None:
    named = descriptor_directories({"XDG_CONFIG_HOME": "/c", "HOME": "/h"})
    assert [str(path) for path in named] == [
        "/c/qemu/firmware",
        "/etc/qemu/firmware",
        "/usr/share/qemu/firmware",
    ]
    assert descriptor_directories({"HOME": "/h"})[0] == Path("/h/.config/qemu/firmware")


def test_the_first_by_name_wins_whatever_its_directory(host: Host) -> None:
    host.descriptor(0, "60-mine.json", code="later")
    host.descriptor(2, "50-theirs.json", code="first")
    assert host.code() == "first"


def test_a_namesake_in_a_more_specific_directory_hides_the_other(host: Host) -> None:
    host.descriptor(2, "50-ovmf.json", code="distribution")
    host.descriptor(1, "50-ovmf.json", code="administrator")
    assert host.code() == "administrator"
    host.descriptor(0, "50-ovmf.json", code="person")
    assert host.code() == "person"


def test_an_empty_namesake_hides_too(host: Host) -> None:
    host.descriptor(2, "50-ovmf.json", code="hidden")
    host.descriptor(2, "60-ovmf.json", code="shown")
    (host.directories[1] / "50-ovmf.json").touch()
    assert host.code() == "shown"


def test_formats_and_paths_are_taken_over(host: Host) -> None:
    host.descriptor(2, "50.json")
    found = find_firmware(host.facts(), Firmware.UEFI, "pc-q35-7.2")
    assert (found.code_format, found.variables_format) == ("raw", "qcow2")
    assert found.variables == str(host.base / "vars")
    assert not found.secure


def test_secure_boot_takes_a_build_with_keys_and_plain_uefi_never_does(host: Host) -> None:
    host.descriptor(2, "40.json", "secure-boot", "requires-smm", code="keyless")
    host.descriptor(2, "50.json", "secure-boot", "requires-smm", "enrolled-keys", code="secure")
    host.descriptor(2, "60.json", code="plain")
    assert host.code(Firmware.UEFI_SECURE) == "secure"
    assert host.code(Firmware.UEFI) == "plain"
    assert find_firmware(host.facts(), Firmware.UEFI_SECURE, "q35").secure


def test_the_machine_type_must_match(host: Host) -> None:
    host.descriptor(2, "50.json", code="for-q35")
    i440fx = [{"architecture": "x86_64", "machines": ["pc-i440fx-*"]}]
    host.descriptor(2, "60.json", code="for-pc", targets=i440fx)
    assert host.code(machine="q35") == "for-q35"
    assert host.code(machine="pc") == "for-pc"
    assert host.code(machine="pc-i440fx-6.0") == "for-pc"


def test_an_alias_is_understood_without_qemu(host: Host) -> None:
    host.descriptor(2, "50.json")
    facts = HostFacts(firmware=host.facts().firmware)
    assert find_firmware(facts, Firmware.UEFI, "q35")


@pytest.mark.parametrize(
    "change",
    [
        {"interface-types": ["bios"]},
        {"targets": [{"architecture": "aarch64", "machines": ["virt-*"]}]},
        {"mapping": {"device": "memory", "filename": "/x"}},
        {"mapping": {"device": "flash", "mode": "stateless", "executable": {"filename": "/x"}}},
        {"mapping": None},
        {"features": None},
    ],
)
def test_what_cannot_be_used_is_passed_over(host: Host, change: dict[str, Any]) -> None:
    host.descriptor(2, "50.json", code="unusable", **change)
    host.descriptor(2, "60.json", code="usable")
    assert host.code() == "usable"


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "null", "\xff"])
def test_a_broken_descriptor_hurts_nobody(host: Host, text: str) -> None:
    (host.directories[2] / "50.json").write_text(text, encoding="latin-1")
    host.descriptor(2, "60.json", code="usable")
    assert host.code() == "usable"


def test_a_descriptor_of_files_that_are_gone(host: Host) -> None:
    host.descriptor(2, "50.json", code="gone")
    host.descriptor(2, "60.json", code="there")
    (host.base / "gone").unlink()
    assert host.code() == "there"


def test_without_descriptors_the_well_known_places_serve(host: Host) -> None:
    for name in ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd", "OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd"):
        host.file(f"share/OVMF/{name}")
    assert host.code() == "OVMF_CODE_4M.fd"
    assert host.code(machine="pc") == "OVMF_CODE_4M.fd"
    assert host.code(Firmware.UEFI_SECURE) == "OVMF_CODE_4M.ms.fd"
    with pytest.raises(HostError):
        host.code(Firmware.UEFI_SECURE, "pc")


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ("ID=debian", "sudo apt-get install ovmf"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"', "sudo apt-get install ovmf"),
        ("ID=fedora", "sudo dnf install edk2-ovmf"),
        ("ID=arch", "sudo pacman -S edk2-ovmf"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"', "sudo zypper install qemu-ovmf-x86_64"),
        ("ID=other", "install ovmf with the system's package manager"),
    ],
)
def test_what_to_install(host: Host, release: str, command: str) -> None:
    os_release = host.base / "os-release"
    os_release.write_text(release)
    with pytest.raises(HostError, match="no UEFI firmware for the machine type q35") as caught:
        find_firmware(host.facts(), Firmware.UEFI, "q35", os_release)
    assert caught.value.hint == command


def test_a_host_without_enrolled_keys_is_told_so(host: Host) -> None:
    host.descriptor(2, "50.json")
    with pytest.raises(HostError, match="with Secure Boot") as caught:
        host.code(Firmware.UEFI_SECURE)
    assert "no keys enrolled" in caught.value.hint

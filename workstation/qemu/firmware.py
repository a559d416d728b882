"""UEFI builds of this host, after QEMU's docs/interop/firmware.json."""

import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from workstation.errors import HostError
from workstation.model.host import FirmwareFiles, HostFacts
from workstation.model.profile import Firmware
from workstation.qemu.host_cache import changed_at
from workstation.qemu.packages import OS_RELEASE, install_hint

_Q35 = ("pc-q35-*",)

# For hosts without descriptors, below /usr/share: (code, variables, secure).
_WELL_KNOWN = (
    ("OVMF/OVMF_CODE_4M.fd", "OVMF/OVMF_VARS_4M.fd", False),
    ("OVMF/OVMF_CODE.fd", "OVMF/OVMF_VARS.fd", False),
    ("edk2/x64/OVMF_CODE.4m.fd", "edk2/x64/OVMF_VARS.4m.fd", False),
    ("edk2/ovmf/OVMF_CODE.fd", "edk2/ovmf/OVMF_VARS.fd", False),
    ("qemu/ovmf-x86_64-code.bin", "qemu/ovmf-x86_64-vars.bin", False),
    ("OVMF/OVMF_CODE_4M.ms.fd", "OVMF/OVMF_VARS_4M.ms.fd", True),
    ("OVMF/OVMF_CODE_4M.secboot.fd", "OVMF/OVMF_VARS_4M.ms.fd", True),
    ("edk2/ovmf/OVMF_CODE.secboot.fd", "edk2/ovmf/OVMF_VARS.secboot.fd", True),
    ("qemu/ovmf-x86_64-smm-ms-code.bin", "qemu/ovmf-x86_64-smm-ms-vars.bin", True),
)


def descriptor_directories(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where descriptors may lie, what goes before first."""
    home = Path(environ.get("HOME") or Path.home())
    configured = environ.get("XDG_CONFIG_HOME", "")
    config = Path(configured) if configured.startswith("/") else home / ".config"
    return (
        config / "qemu/firmware",
        Path("/etc/qemu/firmware"),
        Path("/usr/share/qemu/firmware"),
    )


def find_all(directories: Sequence[Path], share: Path = Path("/usr/share")) -> list[FirmwareFiles]:
    """Every usable UEFI build, the preferred ones first; none where nothing is installed."""
    described = _described(tuple(directories), tuple(map(changed_at, directories)))
    described = [files for files in described if _exist(files)]
    return described or [files for files in _well_known(share) if _exist(files)]


@lru_cache(maxsize=1)
def _described(directories: tuple[Path, ...], _changed: tuple[int, ...]) -> list[FirmwareFiles]:
    """What the descriptors say, which are read again where one of their directories has changed."""
    return [files for path in _descriptors(directories) if (files := read_descriptor(path))]


def find_firmware(
    facts: HostFacts, firmware: Firmware, machine_type: str, os_release: Path = OS_RELEASE
) -> FirmwareFiles:
    """The build for this firmware (not BIOS) and machine type, an alias or a versioned one.

    Raises HostError where none is installed, with what to install.
    """
    secure = firmware is Firmware.UEFI_SECURE
    versioned = facts.machine_types.get(machine_type, machine_type)
    # An alias of an unknown QEMU still tells its family.
    versioned = {"q35": "pc-q35-0", "pc": "pc-i440fx-0"}.get(versioned, versioned)
    for files in facts.firmware:
        if files.secure == secure and any(fnmatchcase(versioned, it) for it in files.machines):
            return files
    kind = "UEFI firmware with Secure Boot" if secure else "UEFI firmware"
    raise HostError(
        f"no {kind} for the machine type {machine_type} is installed",
        hint=_keyless_hint() if secure and facts.firmware else install_hint("ovmf", os_release),
    )


def _keyless_hint() -> str:
    # Arch, for one, packages no build with keys.
    return "the builds installed here have no keys enrolled; “boot.firmware: uefi” needs none"


def _descriptors(directories: Sequence[Path]) -> Iterator[Path]:
    """By name, the first directory's file hiding a namesake in a later one.

    An empty file hides its namesakes, and is no descriptor itself.
    """
    chosen: dict[str, Path] = {}
    for directory in directories:
        for path in _json_files(directory):
            chosen.setdefault(path.name, path)
    for _, path in sorted(chosen.items()):
        yield path


def _json_files(directory: Path) -> list[Path]:
    try:
        return [path for path in directory.iterdir() if path.name.endswith(".json")]
    except OSError:
        return []


def read_descriptor(path: Path) -> FirmwareFiles | None:
    """None for a descriptor that is broken, or of a firmware that this program has no use for."""
    try:
        return _from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _from_json(value: dict[str, Any]) -> FirmwareFiles | None:
    mapping = value["mapping"]
    features = set(value["features"])
    secure = "secure-boot" in features
    machines = tuple(
        pattern
        for target in value["targets"]
        if target["architecture"] == "x86_64"
        for pattern in target["machines"]
    )
    if (
        "uefi" not in value["interface-types"]
        or mapping["device"] != "flash"
        or mapping.get("mode", "split") != "split"
        or not machines
        # Secure Boot without keys lets everything start: neither what a profile's
        # `uefi-secure` promises nor the plain build that `uefi` asks for.
        or (secure and "enrolled-keys" not in features)
    ):
        return None
    code, variables = mapping["executable"], mapping["nvram-template"]
    return FirmwareFiles(
        code=code["filename"],
        variables=variables["filename"],
        secure=secure,
        code_format=code["format"],
        variables_format=variables["format"],
        machines=machines,
    )


def _well_known(share: Path) -> Iterator[FirmwareFiles]:
    for code, variables, secure in _WELL_KNOWN:
        files = FirmwareFiles(str(share / code), str(share / variables), secure)
        yield FirmwareFiles(files.code, files.variables, secure, machines=_Q35) if secure else files


def _exist(files: FirmwareFiles) -> bool:
    return Path(files.code).is_file() and Path(files.variables).is_file()

"""How the distribution at hand installs what is missing."""

from collections.abc import Mapping
from pathlib import Path

OS_RELEASE = Path("/etc/os-release")

_INSTALL = {
    "apt": "sudo apt-get install",
    "dnf": "sudo dnf install",
    "pacman": "sudo pacman -S",
    "zypper": "sudo zypper install",
}

_FAMILIES = {
    "apt": {"debian", "ubuntu"},
    "dnf": {"fedora", "rhel", "centos"},
    "pacman": {"arch", "archlinux"},
    "zypper": {"suse", "opensuse", "sles"},
}

_PACKAGES: Mapping[str, Mapping[str, str]] = {
    "qemu": {
        "apt": "qemu-system-x86",
        "dnf": "qemu-system-x86",
        "pacman": "qemu-system-x86",
        "zypper": "qemu-x86",
    },
    "qemu-img": {
        "apt": "qemu-utils",
        "dnf": "qemu-img",
        "pacman": "qemu-img",
        "zypper": "qemu-tools",
    },
    "ovmf": {
        "apt": "ovmf",
        "dnf": "edk2-ovmf",
        "pacman": "edk2-ovmf",
        "zypper": "qemu-ovmf-x86_64",
    },
    "swtpm": {
        "apt": "swtpm swtpm-tools",
        "dnf": "swtpm swtpm-tools",
        "pacman": "swtpm",
        "zypper": "swtpm",
    },
    "gpgv": {"apt": "gpgv", "dnf": "gnupg2", "pacman": "gnupg", "zypper": "gpg2"},
}


def install_hint(thing: str, os_release: Path = OS_RELEASE) -> str:
    """The command that installs `thing`: `qemu`, `sudo apt-get install qemu-system-x86`.

    Things that are called the same everywhere (`virtiofsd`, `passt`) need no entry above.
    """
    manager = package_manager(os_release)
    if not manager:
        return f"install {thing} with the system's package manager"
    return f"{_INSTALL[manager]} {_PACKAGES.get(thing, {}).get(manager, thing)}"


def package_manager(os_release: Path = OS_RELEASE) -> str:
    """`apt`, `dnf`, `pacman`, `zypper`, or empty where the distribution is another one."""
    names = _names(os_release)
    return next((manager for manager, family in _FAMILIES.items() if names & family), "")


def _names(os_release: Path) -> set[str]:
    """The values of ID and ID_LIKE (os-release(5))."""
    try:
        lines = os_release.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    pairs = (line.partition("=") for line in lines)
    return {
        name
        for key, _, value in pairs
        if key in ("ID", "ID_LIKE")
        for name in value.strip("\"'").lower().split()
    }

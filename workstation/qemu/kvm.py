"""Whether KVM can really run a guest here, and if not, why and what to do about it.

`look` asks only what is quick to ask, and is done at every start. `prove` runs a guest of one
instruction. The order matters: a host can pass the proof and still hang every real guest, which
was seen under a KVM without hardware virtualisation (no `vmx` or `svm` flag) that emulates the
first instructions; so the flags decide before the proof is tried.
"""

import errno
import fcntl
import grp
import os
import platform
import re
import stat
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from workstation.qemu import kvm_proof
from workstation.qemu.output import output_of

_API_VERSION = 12
_CPUINFO_BYTES = 8192
"""Enough for the first CPU; the rest costs milliseconds on a host with many."""

_FIRMWARE = "turn on virtualisation (VT-x or AMD-V) in the computer's firmware set-up"
_NESTED = "if this computer is itself a virtual machine, turn on nested virtualisation on its host"


class KvmState(NamedTuple):
    usable: bool
    reason: str = ""
    mend: str = ""


@dataclass(frozen=True, slots=True)
class KvmPlaces:
    """Where to look."""

    device: Path = Path("/dev/kvm")
    cpuinfo: Path = Path("/proc/cpuinfo")
    processor: str = platform.machine()


def look(places: KvmPlaces) -> KvmState:
    """What can be told without running a guest; takes well under a millisecond."""
    if places.processor not in ("x86_64", "AMD64"):
        return KvmState(False, f"this computer's CPU is {places.processor}; guests are x86_64")
    flag = virtualisation_flag(places.cpuinfo)
    try:
        kvm = os.open(places.device, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        if not flag:
            return no_flag(places.device)
        return no_permission(places.device, frozenset(os.getgroups()) | {os.getegid()})
    except OSError as error:
        return _missing(places.device, flag, error)
    try:
        return no_flag(places.device) if not flag else _speaks(kvm, places.device)
    finally:
        os.close(kvm)


def virtualisation_flag(cpuinfo: Path) -> str:
    """`vmx`, `svm`, or empty where the CPU has neither."""
    try:
        with cpuinfo.open("rb", buffering=0) as file:
            words = (file.read(_CPUINFO_BYTES) or b"").split()
    except OSError:
        return ""
    return next((flag for flag in ("vmx", "svm") if flag.encode() in words), "")


_INSTRUCTIONS = re.compile(
    r"mmx|fxsr|pni|ss?se.*|avx.*|amx.*|aes|vaes|v?pclmulqdq|gfni|sha_ni|bmi[12]|abm|adx|fma4?|f16c"
    r"|movbe|popcnt|rdrand|rdseed|rdpid|cx16|lahf_lm|xsave.*|fsgsbase|clflush.*|clwb|smep|smap|pku"
    r"|erms|xop|tbm"
)
"""Flags of /proc/cpuinfo that stand for instructions a guest may use; the rest is the host's."""


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """What the CPU can do for a guest that sees it as it is."""
    try:
        with cpuinfo.open("rb", buffering=0) as file:
            text = (file.read(_CPUINFO_BYTES) or b"").decode(errors="replace")
    except OSError:
        return frozenset()
    found = re.search(r"^flags\s*:(.*)", text, re.MULTILINE)
    return _instructions(found[1]) if found else frozenset()


@lru_cache(maxsize=1)
def _instructions(flags: str) -> frozenset[str]:
    return frozenset(flag for flag in flags.split() if _INSTRUCTIONS.fullmatch(flag))


def no_permission(device: Path, groups: frozenset[int]) -> KvmState:
    """`groups` are the numbers of the groups that this process is in."""
    status = device.stat()
    group = _group_name(status.st_gid)
    reason = f"you may not open {device}"
    opens = status.st_mode & stat.S_IRGRP and status.st_mode & stat.S_IWGRP
    if not opens or status.st_gid == 0 or status.st_gid in groups:
        return KvmState(False, reason, f"sudo setfacl -m u:$USER:rw {device}")
    reason += f": it belongs to the group {group}"
    if _is_listed(group):
        return KvmState(False, reason, f"you have joined {group} already: log in again")
    return KvmState(False, reason, f"sudo usermod -aG {group} $USER, then log in again")


def no_flag(device: Path) -> KvmState:
    reason = f"there is {device}, but the CPU shows neither vmx nor svm: a guest would hang"
    return KvmState(False, reason, f"{_NESTED}; otherwise {_FIRMWARE}")


def _missing(device: Path, flag: str, error: OSError) -> KvmState:
    missing = isinstance(error, FileNotFoundError)
    reason = f"there is no {device}" if missing else f"{device} does not open: {error.strerror}"
    module = {"vmx": "kvm_intel", "svm": "kvm_amd"}.get(flag)
    if module is None:
        return KvmState(False, f"{reason}, and the CPU shows neither vmx nor svm",
                        f"{_FIRMWARE}; {_NESTED}")  # fmt: skip
    return KvmState(False, reason, f"sudo modprobe {module}; if that fails, {_FIRMWARE}")


def _speaks(kvm: int, device: Path) -> KvmState:
    try:
        version = fcntl.ioctl(kvm, kvm_proof.KVM_GET_API_VERSION, 0)
    except OSError as error:
        return KvmState(False, f"{device} does not answer as KVM does: {error.strerror}")
    if version != _API_VERSION:
        return KvmState(False, f"{device} speaks version {version} of KVM, not {_API_VERSION}")
    return KvmState(True)


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _is_listed(group: str) -> bool:
    """The group's entry already names this user; only the session is older than that."""
    try:
        return os.environ.get("USER", "") in grp.getgrnam(group).gr_mem
    except KeyError:
        return False


async def prove(device: Path, *, seconds: float = 5.0) -> KvmState:
    """Run a guest of one instruction in a process of its own, which is killed if it hangs."""
    program = [sys.executable, "-I", "-S", kvm_proof.__file__, str(device)]
    return explain((await output_of(*program, seconds=seconds)).strip())


def explain(outcome: str) -> KvmState:
    """What an outcome of `kvm_proof.prove` means for a person."""
    if outcome == "ok":
        return KvmState(True)
    step, _, number = outcome.partition(" ")
    if step == "KVM_CREATE_VM" and number == str(errno.EBUSY):
        return KvmState(
            False,
            "another hypervisor (VirtualBox, VMware) holds the CPU's virtualisation",
            "stop its virtual machines, then try again",
        )
    if step.startswith("KVM_") and number.isdecimal():
        return KvmState(False, f"{step} failed: {os.strerror(int(number))}", _NESTED)
    if step == "exit":
        return KvmState(False, f"a guest of one instruction ended with exit {number}", _NESTED)
    return KvmState(False, "a guest of one instruction did not end", _NESTED)

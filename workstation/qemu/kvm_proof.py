"""Run a guest of one instruction under KVM: the proof that KVM works.

Run as a program of its own (`python -I -S kvm_proof.py DEVICE`), because a host whose KVM is
broken may hang in KVM_RUN: then the process is killed, and nobody else is hurt.
Prints `ok`, or the step that failed and its errno. Only the standard library is imported.
Numbers and layouts: the kernel's Documentation/virt/kvm/api.rst, include/uapi/linux/kvm.h.
"""

import ctypes
import fcntl
import mmap
import os
import struct
import sys
from collections.abc import Callable
from typing import Any

KVM_GET_API_VERSION = 0xAE00
KVM_CREATE_VM = 0xAE01
_GET_VCPU_MMAP_SIZE = 0xAE04
_CREATE_VCPU = 0xAE41
_SET_USER_MEMORY_REGION = 0x4020AE46
_RUN = 0xAE80
_SET_REGS = 0x4090AE82
_GET_SREGS = 0x8138AE83
_SET_SREGS = 0x4138AE84

_EXIT_REASON_AT = 8  # in struct kvm_run
_EXIT_HLT = 5
_HLT = b"\xf4"
_SREGS_SIZE = 312
_PAGE = 4096


def prove(device: str) -> str:
    """`ok`, `STEP ERRNO`, or `exit REASON` where the guest ended otherwise than by its `hlt`."""
    step = "open"

    def call(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal step
        step = name
        return function(*arguments)

    try:
        kvm = call("open", os.open, device, os.O_RDWR | os.O_CLOEXEC)
        vm = call("KVM_CREATE_VM", fcntl.ioctl, kvm, KVM_CREATE_VM, 0)
        memory = mmap.mmap(-1, _PAGE)
        memory.write(_HLT)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        region = struct.pack("=IIQQQ", 0, 0, 0, _PAGE, address)
        call("KVM_SET_USER_MEMORY_REGION", fcntl.ioctl, vm, _SET_USER_MEMORY_REGION, region)
        cpu = call("KVM_CREATE_VCPU", fcntl.ioctl, vm, _CREATE_VCPU, 0)
        size = call("KVM_GET_VCPU_MMAP_SIZE", fcntl.ioctl, kvm, _GET_VCPU_MMAP_SIZE, 0)
        shared = mmap.mmap(cpu, size)
        call("KVM_SET_REGS", _start_at_zero, cpu)
        call("KVM_RUN", fcntl.ioctl, cpu, _RUN, 0)
    except OSError as error:
        return f"{step} {error.errno}"
    reason = struct.unpack_from("=I", shared, _EXIT_REASON_AT)[0]
    return "ok" if reason == _EXIT_HLT else f"exit {reason}"


def _start_at_zero(cpu: int) -> None:
    """Real mode, at 0000:0000."""
    special = bytearray(_SREGS_SIZE)
    fcntl.ioctl(cpu, _GET_SREGS, special)
    struct.pack_into("=Q", special, 0, 0)  # cs.base
    struct.pack_into("=H", special, 12, 0)  # cs.selector
    fcntl.ioctl(cpu, _SET_SREGS, bytes(special))
    general = [0] * 18
    general[17] = 2  # rflags: bit 1 is always set
    fcntl.ioctl(cpu, _SET_REGS, struct.pack("=18Q", *general))


if __name__ == "__main__":
    sys.stdout.write(prove(sys.argv[1]) + "\n")

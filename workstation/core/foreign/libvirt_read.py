"""A libvirt domain (its formatdomain documentation), as `virsh dumpxml` prints it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from workstation.core.foreign import xml
from workstation.core.foreign.described import DEFAULT_MEMORY, Adapter, Described, Medium
from workstation.core.foreign.ovf_words import whole_number
from workstation.errors import InvalidError
from workstation.model.profile import Bus, Clock, Family, Firmware, Nic

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_UNITS = {"b": 1, "bytes": 1, "kb": 1000, "k": 1024, "kib": 1024, "mb": 10**6, "m": 2**20,
          "mib": 2**20, "gb": 10**9, "g": 2**30, "gib": 2**30, "tb": 10**12, "t": 2**40,
          "tib": 2**40}  # fmt: skip
_BUSES = {"virtio": Bus.VIRTIO, "scsi": Bus.SCSI, "sata": Bus.SATA, "ide": Bus.IDE,
          "nvme": Bus.NVME}  # fmt: skip
_NICS = {"virtio": Nic.VIRTIO, "virtio-net": Nic.VIRTIO, "e1000": Nic.E1000, "e1000e": Nic.E1000E,
         "rtl8139": Nic.RTL8139}  # fmt: skip
_FORMATS = {"qcow2": "qcow2", "raw": "raw", "vmdk": "vmdk", "vdi": "vdi", "vpc": "vhd",
            "vhdx": "vhdx"}  # fmt: skip
_PORTABLE = "Nehalem"
"""What “portable” is; QEMU has the version in its own name for it."""
_MODES = {"host-passthrough": "host", "maximum": "max"}

_HOST_ACCESS = {
    "hostdev": "a device of its host",
    "filesystem": "a directory of its host",
    "redirdev": "USB redirection",
    "shmem": "memory shared with its host",
    "smartcard": "a smart card",
    "parallel": "a parallel port",
    "watchdog": "the watchdog",
    "vsock": "the socket to its host",
}
"""What a description of somebody else's host may not bring along, or nothing here is like."""


def read_libvirt(text: bytes, file: str) -> Described:
    """Raises InvalidError for what is no x86-64 domain."""
    root = xml.parse(text, file)
    if xml.local(root.tag) != "domain":
        raise InvalidError(f"{file} is no libvirt domain")
    system, devices = xml.first(root, "os"), xml.first(root, "devices")
    kind = xml.first(system, "type")
    architecture = xml.attribute(kind, "arch") or "x86_64"
    if architecture != "x86_64" or (kind is not None and (kind.text or "").strip() != "hvm"):
        raise InvalidError(f"{file} describes a machine of another kind: {architecture}")
    reader = _Reader(root, system, devices)
    return reader.machine(xml.attribute(kind, "machine"))


class _Reader:
    def __init__(
        self, root: "Element", system: "Element | None", devices: "Element | None"
    ) -> None:
        self._root, self._system = root, system
        self._devices = list(devices) if devices is not None else []
        self._dropped: list[str] = []

    def machine(self, board: str) -> Described:
        chipset: Literal["pc", "q35"] = "q35" if "q35" in board else "pc"
        sockets, cores, threads = self._cpus()
        media = list(self._media())
        clock = xml.attribute(xml.first(self._root, "clock"), "offset")
        described = Described(
            name=xml.text(self._root, "name"),
            notes=xml.text(self._root, "description") or xml.text(self._root, "title"),
            family=self._family(),
            sockets=sockets,
            cores=cores,
            threads=threads,
            cpu_model=self._cpu_model(),
            memory=self._memory(),
            chipset=chipset,
            firmware=self._firmware(),
            clock=Clock.LOCALTIME if clock == "localtime" else Clock.UTC,
            disks=tuple(one for disc, one in media if not disc),
            discs=tuple(one for disc, one in media if disc),
            adapters=tuple(self._adapters()),
            sound=any(True for _ in self._all("sound")),
            tpm=any(True for _ in self._all("tpm")),
            display="std" if any(True for _ in self._all("video")) else "none",
            dropped=(),
        )
        self._drop()
        return replace(described, dropped=tuple(dict.fromkeys(self._dropped)))

    def _all(self, name: str) -> Iterator["Element"]:
        return (one for one in self._devices if xml.local(one.tag) == name)

    # -- values -----------------------------------------------------------------

    def _memory(self) -> int:
        element = xml.first(self._root, "currentMemory")
        element = xml.first(self._root, "memory") if element is None else element
        if element is None:
            return DEFAULT_MEMORY
        unit = xml.attribute(element, "unit").lower() or "kib"
        if unit not in _UNITS:
            raise InvalidError(f"“{unit}” is no unit of memory")
        return whole_number((element.text or "").strip()) * _UNITS[unit] // 2**20 * 2**20

    def _cpus(self) -> tuple[int, int, int]:
        """Sockets, cores and threads."""
        count = whole_number(xml.text(self._root, "vcpu") or "1")
        topology = xml.first(self._root, "cpu", "topology")
        if topology is None:
            return 1, count, 1
        said = [whole_number(xml.attribute(topology, key) or "1")
                for key in ("sockets", "dies", "cores", "threads")]  # fmt: skip
        return said[0], said[1] * said[2], said[3]

    def _cpu_model(self) -> str:
        cpu = xml.first(self._root, "cpu")
        mode, model = xml.attribute(cpu, "mode"), xml.text(cpu, "model")
        if mode in _MODES:
            return _MODES[mode]
        if model not in ("", _PORTABLE) or mode == "host-model":
            self._dropped.append(
                f"the CPU model {model or mode}: “portable” instead, which resumes elsewhere"
            )
        return "portable"

    def _firmware(self) -> Firmware:
        loader = xml.first(self._system, "loader")
        efi = xml.attribute(self._system, "firmware") == "efi" or (
            xml.attribute(loader, "type") == "pflash"
        )
        if not efi:
            return Firmware.BIOS
        self._dropped.append("the UEFI variables: the firmware looks for a boot loader anew")
        features = xml.first(self._system, "firmware")
        enrolled = any(
            xml.attribute(one, "name") == "enrolled-keys" and xml.attribute(one, "enabled") == "yes"
            for one in (features if features is not None else ())
        )
        return Firmware.UEFI_SECURE if enrolled else Firmware.UEFI

    def _family(self) -> Family:
        about = xml.first(self._root, "metadata", "libosinfo", "os")
        name = xml.attribute(about, "id").lower()
        if "microsoft" in name or "hyperv" in [xml.local(one.tag) for one in self._features()]:
            return Family.WINDOWS
        if "bsd" in name:
            return Family.BSD
        return Family.LINUX if name else Family.OTHER

    def _features(self) -> list["Element"]:
        features = xml.first(self._root, "features")
        return list(features) if features is not None else []

    # -- devices ----------------------------------------------------------------

    def _media(self) -> Iterator[tuple[bool, Medium]]:
        """Each with whether it is a disc."""
        for disk in self._all("disk"):
            kind = xml.attribute(disk, "device") or "disk"
            source = xml.first(disk, "source")
            file = xml.attribute(source, "file")
            if kind == "cdrom":
                yield True, Medium(file, "iso")
            elif kind != "disk":
                self._dropped.append(f"the {kind} drive")
            elif not file:
                what = xml.attribute(disk, "type") or "nameless"
                self._dropped.append(f"a {what} disk: only disks in files can be taken along")
            else:
                target = xml.attribute(xml.first(disk, "target"), "bus")
                said = xml.attribute(xml.first(disk, "driver"), "type") or "raw"
                if said not in _FORMATS:
                    raise InvalidError(f"the disk {file} has the format {said}, not known here")
                yield False, Medium(file, _FORMATS[said], 0, _BUSES.get(target, Bus.SATA))

    def _adapters(self) -> Iterator[Adapter]:
        for one in self._all("interface"):
            model = xml.attribute(xml.first(one, "model"), "type")
            kind = xml.attribute(one, "type")
            if kind != "user":
                self._dropped.append(f"the {kind} network: the guest reaches out through this host")
            if model not in _NICS:
                self._dropped.append(f"the {model or 'nameless'} adapter: an e1000 instead")
            mac = xml.attribute(xml.first(one, "mac"), "address")
            yield Adapter(_NICS.get(model, Nic.E1000), mac)

    def _drop(self) -> None:
        for one in self._devices:
            if what := _HOST_ACCESS.get(xml.local(one.tag)):
                self._dropped.append(what)
        for name in ("kernel", "initrd", "cmdline"):
            if xml.text(self._system, name):
                self._dropped.append(f"the {name} that it boots directly: a file of its host")
        if any("qemu/1.0" in one.tag for one in self._root):
            self._dropped.append("arguments for QEMU itself")

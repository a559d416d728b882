"""An OVF description (DSP0243 1.x and 2.x), as VirtualBox, VMware and virt-v2v write it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from workstation.core.foreign import xml
from workstation.core.foreign.described import DEFAULT_MEMORY, Adapter, Described, Medium
from workstation.core.foreign.ovf_words import (
    NICS,
    as_mac,
    family_of,
    format_of,
    in_bytes,
    whole_number,
)
from workstation.errors import InvalidError
from workstation.model.profile import Bus, Clock, Family, Firmware, Nic

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

One = TypeVar("One")

OURS = "urn:workstation:machine"
"""The namespace of the section that says what OVF has no words for."""


class File(NamedTuple):
    """A file that the description refers to."""

    name: str
    chunk: int
    """Bytes of each of its parts but the last; 0 where it is one file."""
    size: int
    gzipped: bool


class Ovf(NamedTuple):
    """What a description says."""

    machine: Described
    files: dict[str, File]
    """By name; media refer to them by name."""


# -- the document ---------------------------------------------------------------------


def read_ovf(text: bytes, file: str) -> Ovf:
    """Raises InvalidError for what is no description of one machine."""
    root = xml.parse(text, file)
    if xml.local(root.tag) != "Envelope":
        raise InvalidError(f"{file} is no OVF: it begins with <{xml.local(root.tag)[:40]}>")
    files = dict(_files(root))
    system = _system(root, file)
    hardware = xml.first(system, "VirtualHardwareSection")
    if hardware is None:
        raise InvalidError(f"{file} describes no hardware")
    reader = _Reader(root, system, hardware, files)
    return Ovf(reader.machine(), {one.name: one for one in files.values()})


def _system(root: "Element", file: str) -> "Element":
    found = list(xml.each(root, "VirtualSystem"))
    for collection in xml.each(root, "VirtualSystemCollection"):
        found += xml.each(collection, "VirtualSystem")
    if len(found) != 1:
        raise InvalidError(
            f"{file} describes {len(found)} machines, and one can be imported",
            hint="export the machines one by one where they come from",
        )
    return found[0]


def _files(root: "Element") -> Iterator[tuple[str, File]]:
    for references in xml.each(root, "References"):
        for one in xml.each(references, "File"):
            compression = xml.attribute(one, "compression")
            if compression not in ("", "identity", "gzip"):
                raise InvalidError(f"a file is compressed by {compression}: only gzip is known")
            name = xml.attribute(one, "href")
            if not name:
                raise InvalidError("a file has no name")
            yield (
                xml.attribute(one, "id"),
                File(
                    name,
                    whole_number(xml.attribute(one, "chunkSize") or "0"),
                    whole_number(xml.attribute(one, "size") or "0"),
                    compression == "gzip",
                ),
            )


class _Item(NamedTuple):
    """A piece of virtual hardware."""

    kind: int
    element: "Element"

    def text(self, name: str) -> str:
        return xml.text(self.element, name)

    @property
    def subtype(self) -> str:
        return self.text("ResourceSubType").lower()


# CIM_ResourceAllocationSettingData's ResourceType, as far as it is used.
_CPU, _MEMORY, _IDE, _SCSI, _NIC, _FLOPPY = 3, 4, 5, 6, 10, 14
_CD, _DVD, _DISK, _STORAGE, _USB, _VIDEO, _SOUND = 15, 16, 17, 20, 23, 24, 35
_SILENT = {_IDE, _SCSI, _STORAGE, _USB, _VIDEO}
"""Boards have these anyway."""


class _Reader:
    def __init__(
        self, root: "Element", system: "Element", hardware: "Element", files: dict[str, File]
    ) -> None:
        self._root, self._system, self._hardware, self._files = root, system, hardware, files
        self._items = [
            _Item(whole_number(xml.text(one, "ResourceType") or "0"), one)
            for one in xml.each(hardware, "Item", "StorageItem", "EthernetPortItem")
        ]
        self._by_id = {item.text("InstanceID"): item for item in self._items}
        self._dropped: list[str] = []
        self._ours = dict(_our_words(system))

    def machine(self) -> Described:
        family = family_of(xml.first(self._system, "OperatingSystemSection"))
        firmware = self._firmware()
        disks, discs = tuple(self._disks()), tuple(self._discs())
        on_ide = any(disk.bus is Bus.IDE for disk in disks)
        chipset: Literal["pc", "q35"] = "pc" if on_ide and firmware is Firmware.BIOS else "q35"
        sockets, cores = self._cpus()
        machine = Described(
            name=xml.text(self._system, "Name") or xml.attribute(self._system, "id"),
            notes=xml.text(self._system, "AnnotationSection", "Annotation"),
            family=family,
            sockets=sockets,
            cores=cores,
            memory=self._memory(),
            chipset=chipset,
            firmware=firmware,
            clock=Clock.LOCALTIME if family is Family.WINDOWS else Clock.UTC,
            disks=disks,
            discs=discs,
            adapters=tuple(self._adapters()),
            sound=any(item.kind == _SOUND for item in self._items),
            tpm=self._config("vtpm.present").lower() == "true",
        )
        self._drop_the_rest()
        return self._with_our_words(machine)

    # -- values -----------------------------------------------------------------

    def _quantity(self, kind: int) -> _Item | None:
        return next((item for item in self._items if item.kind == kind), None)

    def _cpus(self) -> tuple[int, int]:
        """Sockets, and cores in each."""
        item = self._quantity(_CPU)
        if not item:
            return 1, 1
        count = whole_number(item.text("VirtualQuantity") or "1")
        each = whole_number(item.text("CoresPerSocket") or "0")
        return (count // each, each) if each and count % each == 0 else (1, count)

    def _memory(self) -> int:
        item = self._quantity(_MEMORY)
        if not item:
            return DEFAULT_MEMORY
        units = item.text("AllocationUnits") or "byte * 2^20"
        return in_bytes(item.text("VirtualQuantity"), units) // 2**20 * 2**20

    def _config(self, key: str) -> str:
        """A value of VMware's own settings."""
        for one in xml.each(self._hardware, "Config", "ExtraConfig"):
            if xml.attribute(one, "key").lower() == key.lower():
                return xml.attribute(one, "value")
        return ""

    def _firmware(self) -> Firmware:
        said = self._config("firmware").lower()
        box = xml.first(self._system, "Machine", "Hardware", "Firmware")
        box = box if box is not None else xml.first(self._system, "Machine", "Firmware")
        if said != "efi" and not xml.attribute(box, "type").upper().startswith("EFI"):
            return Firmware.BIOS
        self._dropped.append("the UEFI variables: the firmware looks for a boot loader anew")
        secure = (self._config("bootOptions.efiSecureBootEnabled"),
                  self._config("uefi.secureBoot.enabled"))  # fmt: skip
        return Firmware.UEFI_SECURE if "true" in map(str.lower, secure) else Firmware.UEFI

    # -- media ------------------------------------------------------------------

    def _disks(self) -> Iterator[Medium]:
        known = {
            xml.attribute(one, "diskId"): one
            for section in xml.each(self._root, "DiskSection")
            for one in xml.each(section, "Disk")
        }
        for item in self._items:
            if item.kind != _DISK:
                continue
            kind, _, name = item.text("HostResource").removeprefix("ovf:").strip("/").partition("/")
            bus = self._bus(item)
            if kind == "file":
                yield Medium(self._file(name), "", 0, bus)
            elif name not in known:
                raise InvalidError(f"a drive is of the disk “{name}”, which is not described")
            else:
                yield self._disk(known[name], bus)

    def _disk(self, disk: "Element", bus: Bus) -> Medium:
        units = xml.attribute(disk, "capacityAllocationUnits") or "byte"
        capacity = xml.attribute(disk, "capacity")
        size = in_bytes(capacity, units) if capacity and not capacity.startswith("$") else 0
        if xml.attribute(disk, "parentRef"):
            raise InvalidError("a disk stands on another one", hint="export it flattened")
        reference = xml.attribute(disk, "fileRef")
        if not reference:
            return Medium("", "", size, bus)
        return Medium(self._file(reference), format_of(xml.attribute(disk, "format")), size, bus)

    def _file(self, reference: str) -> str:
        if reference not in self._files:
            raise InvalidError(f"the file “{reference}” is referred to, and is not described")
        return self._files[reference].name

    def _bus(self, item: _Item) -> Bus:
        controller = self._by_id.get(item.text("Parent"))
        if not controller:
            return Bus.SATA
        if controller.kind == _IDE:
            return Bus.IDE
        words = controller.subtype
        if "nvme" in words:
            return Bus.NVME
        if "virtio" in words:
            return Bus.SCSI if controller.kind == _SCSI or "scsi" in words else Bus.VIRTIO
        if controller.kind == _SCSI:
            self._dropped.append(f"the {words or 'SCSI'} controller: its disks are on SATA")
        return Bus.SATA

    def _discs(self) -> Iterator[Medium]:
        for item in self._items:
            if item.kind in (_CD, _DVD):
                resource = item.text("HostResource").removeprefix("ovf:").strip("/")
                kind, _, name = resource.partition("/")
                yield Medium(self._file(name) if kind == "file" else "", "iso")

    # -- the rest ---------------------------------------------------------------

    def _adapters(self) -> Iterator[Adapter]:
        for item in self._items:
            if item.kind == _NIC:
                model = NICS.get(item.subtype, Nic.E1000)
                if item.subtype not in NICS:
                    self._dropped.append(f"the {item.subtype} adapter: an e1000 instead")
                yield Adapter(model, as_mac(item.text("Address")))

    def _drop_the_rest(self) -> None:
        used = {_CPU, _MEMORY, _DISK, _CD, _DVD, _NIC, _SOUND} | _SILENT
        for item in self._items:
            if item.kind not in used:
                what = item.text("ElementName") or item.text("Caption") or item.subtype
                self._dropped.append(what or f"hardware of type {item.kind}")
        for section in xml.each(self._system, "ProductSection"):
            if next(xml.each(section, "Property"), None) is not None:
                self._dropped.append("the properties that its software would ask for")
        if self._config("nvram"):
            self._dropped.append("the file of firmware variables (.nvram)")

    def _with_our_words(self, machine: Described) -> Described:
        words, buses = self._ours, self._ours.get("buses", "").split()
        if not words:
            return replace(machine, dropped=tuple(dict.fromkeys(self._dropped)))
        nics = self._ours.get("adapters", "").split()
        disks = tuple(
            replace(disk, bus=Bus(bus)) if bus in list(Bus) else disk
            for disk, bus in _paired(machine.disks, buses)
        )
        adapters = tuple(
            replace(adapter, model=Nic(nic)) if nic in list(Nic) else adapter
            for adapter, nic in _paired(machine.adapters, nics)
        )
        chipset: Literal["pc", "q35"] = "pc" if words.get("chipset") == "pc" else "q35"
        family, clock = words.get("family", ""), words.get("clock", "")
        return replace(
            machine,
            disks=disks,
            adapters=adapters,
            chipset=chipset,
            cpu_model=words.get("cpu") or machine.cpu_model,
            family=Family(family) if family in list(Family) else machine.family,
            clock=Clock(clock) if clock in list(Clock) else machine.clock,
            dropped=tuple(dict.fromkeys(
                one for one in self._dropped if "controller" not in one and "adapter" not in one
            )),
        )  # fmt: skip


def _paired(values: tuple[One, ...], words: list[str]) -> Iterator[tuple[One, str]]:
    """Each value with its word, empty where the words are fewer."""
    return zip(values, [*words, *[""] * len(values)], strict=False)


def _our_words(system: "Element") -> Iterator[tuple[str, str]]:
    for one in system:
        if one.tag == f"{{{OURS}}}WorkstationSection":
            yield from ((xml.local(key), value) for key, value in one.items())

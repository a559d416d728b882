"""How a bare disk boots: its partition table tells, where nothing else describes the machine."""

import asyncio
from pathlib import Path

from workstation.core.foreign.headers import Disk
from workstation.core.foreign.limits import limits
from workstation.core.foreign.piece import Piece
from workstation.model.profile import Firmware
from workstation.qemu.convert import convert

_SECTOR, _ENTRY, _ENTRIES = 512, 128, 128
_TABLE = 2 * _SECTOR
"""Where a GPT's entries begin, in disks of 512-byte sectors (UEFI specification, 5.3)."""

_ESP = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
_BIOS_BOOT = bytes.fromhex("4861682149646f6e744e656564454649")
"""GUIDs of the EFI system partition and of GRUB's partition for a BIOS, as GPT writes them."""


async def firmware_of(qemu_img: str, piece: Piece, disk: Disk, work: Path) -> Firmware:
    """UEFI where it has a partition for that, and none for a BIOS; `work` is a directory."""
    end = _TABLE + _ENTRY * _ENTRIES
    if disk.size < end:
        return Firmware.BIOS
    target = work / "table"
    await convert(
        qemu_img,
        {"driver": "raw", "offset": 0, "size": end, "file": disk.node(piece)},
        "raw",
        target,
        lambda part: None,
        limits=limits(piece.size, end, work),
        descriptors=(piece.descriptor,),
    )
    table = await asyncio.to_thread(target.read_bytes)
    target.unlink()
    return _of_table(table)


def _of_table(table: bytes) -> Firmware:
    if table[_SECTOR : _SECTOR + 8] != b"EFI PART":
        return Firmware.BIOS
    kinds = {table[at : at + 16] for at in range(_TABLE, len(table), _ENTRY)}
    return Firmware.UEFI if _ESP in kinds and _BIOS_BOOT not in kinds else Firmware.BIOS

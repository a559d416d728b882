"""What is plugged into a running QEMU, and out of it: forwards, discs, disks, CPUs, USB devices.

Each raises MonitorError where QEMU refuses, and leaves nothing half plugged in.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from workstation.errors import MonitorError
from workstation.model.profile import Forward, Profile
from workstation.qemu import graph
from workstation.qemu.argv import disc_node, disk_properties, usb_properties
from workstation.qemu.blockdev import DiskFile, overlay_node
from workstation.qemu.monitor import Session
from workstation.qemu.netdev import forward_rules

TRAY_SECONDS = 15.0
"""How long a guest may take to let go of a disc."""


class TrayLockedError(MonitorError):
    """The guest holds its CD drive shut."""


# -- forwards: QMP has no words for them, its human monitor has -------------------


async def open_forward(session: Session, network: str, forward: Forward) -> None:
    """All of its ports, or none."""
    opened: list[str] = []
    try:
        for rule in forward_rules(forward):
            said = await _human(session, f"hostfwd_add {network} {rule}")
            if said:
                raise MonitorError(f"the forward {forward} of “{session.name}”: {said}")
            opened.append(rule)
    except BaseException:
        for rule in opened:
            with suppress(MonitorError):
                await _human(session, f"hostfwd_remove {network} {_end(rule)}")
        raise


async def close_forward(session: Session, network: str, forward: Forward) -> None:
    """One that QEMU does not have is closed already."""
    for rule in forward_rules(forward):
        said = await _human(session, f"hostfwd_remove {network} {_end(rule)}")
        if not said.endswith(("removed", "not found")):
            raise MonitorError(f"the forward {forward} of “{session.name}”: {said}")


def _end(rule: str) -> str:
    """The host's end of a rule, by which it is closed."""
    return rule.partition("-")[0]


async def _human(session: Session, words: str) -> str:
    """What the human monitor says to words of our own making."""
    said = await session.execute("human-monitor-command", **{"command-line": words})
    return str(said).strip()


# -- discs --------------------------------------------------------------------------


async def change_disc(session: Session, number: int, disc: Path | None) -> None:
    """Put a disc into a CD drive, after what is in it was taken out; None leaves it empty.

    Raises TrayLockedError where the guest does not let go of it.
    """
    name = f"cdrom{number}"
    device = f"{name}-device"
    await _open_tray(session, device)
    try:
        inside = await _inserted(session, device)
        if inside:
            await _behind_the_tray(session, device, "blockdev-remove-medium")
            with suppress(MonitorError):  # one that QEMU was started with goes by itself
                await session.execute("blockdev-del", **{"node-name": inside})
        if disc:
            await session.execute("blockdev-add", **disc_node(name, disc))
            node = {"node-name": name}
            await _behind_the_tray(session, device, "blockdev-insert-medium", **node)
    finally:
        await session.execute("blockdev-close-tray", id=device)


async def _behind_the_tray(
    session: Session, device: str, command: str, **arguments: object
) -> None:
    """A guest pushes its tray in when it likes to, and a reset does: then it is opened again."""
    try:
        await session.execute(command, id=device, **arguments)
    except MonitorError:
        if await _is_open(session, device):
            raise
        await _open_tray(session, device)
        await session.execute(command, id=device, **arguments)


async def _open_tray(session: Session, device: str) -> None:
    """A guest that has locked it is asked to open it, and does that itself: QEMU waits for nothing.

    Any Linux with udev locks a drive as long as a disc is in it.
    """
    await session.execute("blockdev-open-tray", id=device)
    with suppress(TimeoutError):
        async with asyncio.timeout(TRAY_SECONDS):
            while not await _is_open(session, device):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            return
    raise TrayLockedError(f"{device} is held shut")


async def _is_open(session: Session, device: str) -> bool:
    blocks = await session.execute("query-block")
    return any(block.get("qdev") == device and block.get("tray_open") for block in blocks)


async def _inserted(session: Session, device: str) -> str:
    """The node of the disc in it; empty where there is none."""
    for block in await session.execute("query-block"):
        if block.get("qdev") == device and block.get("inserted"):
            return str(block["inserted"]["node-name"])
    return ""


# -- disks --------------------------------------------------------------------------


async def add_disk(session: Session, profile: Profile, number: int, file: Path) -> None:
    """Plug a virtio disk into its slot; `file` is its blank overlay."""
    drive, name = profile.drives[number], f"drive{number}"
    node = overlay_node(
        name,
        DiskFile(file),
        cache=drive.cache,
        discard=drive.discard,
        writable=True,
        backing=None,
    )
    await session.execute("blockdev-add", **node)
    try:
        properties = disk_properties(profile, number)
        await session.execute("device_add", driver="virtio-blk-pci", **properties)
    except BaseException:
        with suppress(MonitorError):
            await session.execute("blockdev-del", **{"node-name": name})
        raise


async def grow_disk(session: Session, drive: str, size: int) -> None:
    """The guest sees the new size at once."""
    top = (await graph.heads(session)).get(drive)
    if not top:
        raise MonitorError(f"“{session.name}” has no {drive}")
    await session.execute("block_resize", **{"node-name": top}, size=-(-size // 512) * 512)


# -- CPUs, USB ------------------------------------------------------------------------


async def add_cpus(session: Session, count: int) -> None:
    """The next free ones, in order: so a later start with that many has the very same."""
    for cpu in (await _free_cpus(session))[:count]:
        core = cpu["props"]["core-id"]
        await session.execute("device_add", driver=cpu["type"], id=f"cpu{core}", **cpu["props"])


async def _free_cpus(session: Session) -> list[dict[str, Any]]:
    cpus = await session.execute("query-hotpluggable-cpus")
    free = [cpu for cpu in cpus if "qom-path" not in cpu]
    return sorted(free, key=lambda cpu: int(cpu["props"]["core-id"]))


async def give_usb(session: Session, one: str) -> None:
    """Plug in a USB device of the host, `VENDOR:PRODUCT@PORT`."""
    await session.execute("device_add", driver="usb-host", **usb_properties(one))


async def take_usb(session: Session, one: str) -> None:
    """Give it back to the host."""
    await session.execute("device_del", id=usb_properties(one)["id"])

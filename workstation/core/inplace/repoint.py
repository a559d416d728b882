"""A running QEMU that reads layers inside a bundle is told where those bytes are now.

A stick that was pulled out and plugged in again is another file to the kernel, mounted elsewhere
maybe, and what QEMU holds open of the old one is dead for good. What has settled in lies in the
library. In both cases it is the same bytes, so the guest notices nothing.
"""

from workstation.core.layers import heads
from workstation.core.layers.store import Store
from workstation.core.machine.machine import Machine
from workstation.errors import MonitorError
from workstation.qemu import graph
from workstation.qemu.extent import Extent
from workstation.qemu.monitor import Session


async def plugged_again(machine: Machine, store: Store) -> None:
    """Before a guest goes on that stands still because its disks could not be read.

    Raises NotFoundError, saying what to plug in, where the bundle is still away.
    """
    await machine.settled()
    if machine.cannot_read and await point_again(machine, store):
        machine.log("its disks are read from where the bundle is now")


async def point_again(machine: Machine, store: Store) -> int:
    """Returns how many images are read elsewhere now.

    Raises NotFoundError where a bundle is not there, and then those before it have moved already,
    which harms nothing.
    """
    if machine.monitor is None:
        raise MonitorError(f"“{machine.name}” cannot be asked: {machine.view.reason}")
    return await _point(machine.monitor, _wanted(machine, store))


async def _point(session: Session, wanted: dict[tuple[str, int, int], Extent]) -> int:
    moved = 0
    for node, extent in (await graph.parts(session)).items():
        drive = node.partition("-")[0]
        now = wanted.get((drive, extent.offset, extent.length()))
        if now:
            await graph.point(session, node, now)
            moved += 1
    return moved


def _wanted(machine: Machine, store: Store) -> dict[tuple[str, int, int], Extent]:
    """Where each image is now, by its drive and where in its bundle it lies.

    Of two bundles that have an image of one drive at the same place and size, neither is told
    from the other: they are left as they are.
    """
    found: dict[tuple[str, int, int], Extent] = {}
    double = set()
    for layer in store.chain(heads.read_history(machine.paths).head.layer):
        link = store.link(layer.id)
        for drive, file in layer.drives.items():
            if link and file.name in link.files:
                offset, size = link.files[file.name]
                key = (drive, offset, _padded(size))
                if key in found:
                    double.add(key)
                found[key] = store.extent(layer.id, file.name)
    return {key: extent for key, extent in found.items() if key not in double}


def _padded(size: int) -> int:
    return -(-size // 512) * 512

"""A machine that stands on nothing: what its layers hold is copied into its head."""

from workstation.core.layers import heads
from workstation.core.layers.freeze import Progress
from workstation.core.layers.store import Store
from workstation.core.room import IN_THE_LIBRARY, check_room
from workstation.model.host import HostFacts
from workstation.model.layer import Layer
from workstation.paths import MachinePaths
from workstation.qemu import graph
from workstation.qemu.blockdev import DiskFile
from workstation.qemu.workbench import workbench

_TOP = "copy"


async def copy_layers(
    machine: MachinePaths,
    store: Store,
    facts: HostFacts,
    layer: Layer,
    head: str,
    progress: Progress,
) -> None:
    """Fill a head on that layer with all that lies below it; nothing below is needed then.

    The machine has no QEMU. `progress` gets bytes done and in all, drive by drive. Raises
    HostError where the disk has no room for it.
    """
    drives = heads.drive_ids(layer.profile)
    below = {drive: store.disk_files(layer.id, drive) for drive in drives}
    needed = sum(file.taken() for files in below.values() for file in files)
    check_room(machine.data, needed, IN_THE_LIBRARY)
    async with workbench(facts) as session:
        for drive in drives:
            chain = (DiskFile(machine.overlay(head, drive)), *below[drive])
            await graph.open_chain(session, _TOP, chain)
            if len(chain) > 1:
                await graph.stream(session, _TOP, "", progress)
            await graph.close_chain(session, _TOP, len(chain))

"""Giving back to the host what a machine that is off does not need: zeros, and freed clusters."""

import asyncio

from workstation.core.layers import heads
from workstation.core.layers.freeze import Progress
from workstation.core.layers.mend import Pending, moving
from workstation.core.layers.store import Store
from workstation.core.machine.machine import Machine
from workstation.core.room import IN_THE_LIBRARY, check_room
from workstation.model.host import HostFacts
from workstation.qemu import image


async def compact(machine: Machine, store: Store, facts: HostFacts, progress: Progress) -> int:
    """Write the head of a machine without QEMU anew, without what is zero; returns bytes freed.

    What lies in layers stays: they are frozen. A head that shows zeros over them keeps the zeros.
    """
    paths = machine.paths
    history = heads.read_history(paths)
    before = heads.written(paths, history.head.id)
    check_room(paths.data, before, IN_THE_LIBRARY)
    new = heads.new_id()
    async with moving(machine, store, Pending()):
        paths.head(new).mkdir(mode=0o700)
        overlays = sorted(paths.head(history.head.id).glob("*.qcow2"))
        for number, overlay in enumerate(overlays):
            progress(number, len(overlays))
            files = heads.chain_of(paths, store, history.head, overlay.stem)
            await image.rewrite(facts.qemu_img, files, paths.overlay(new, overlay.stem))
        _carry_memory(machine, history.head.id, new)
        await asyncio.to_thread(heads.sync, paths.head(new))
        head = history.head.model_copy(update={"id": new})
        heads.write_history(paths, history.model_copy(update={"head": head}))
    heads.drop_other_heads(paths, new)
    return before - heads.written(paths, new)


def _carry_memory(machine: Machine, old: str, new: str) -> None:
    memory = machine.paths.head(old) / heads.MEMORY
    if memory.exists():
        (machine.paths.head(new) / heads.MEMORY).hardlink_to(memory)

"""What is done with layers once they are there: suspend, go back, branch, names."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from uuid import uuid4

from workstation.core.layers import heads
from workstation.core.layers.blocked import check_memory
from workstation.core.layers.freeze import Progress, provenance, write_memory
from workstation.core.layers.independent import copy_layers
from workstation.core.layers.mend import Pending, moving, restore
from workstation.core.layers.store import Store
from workstation.core.library import library
from workstation.core.machine.create import with_new_macs, write_definition
from workstation.core.machine.machine import Machine
from workstation.core.room import IN_THE_LIBRARY, check_room
from workstation.errors import NotFoundError, UsageError
from workstation.model.host import HostFacts
from workstation.model.layer import TAG_PATTERN, Head, History, Layer
from workstation.model.machine import Definition
from workstation.paths import MachinePaths, Paths
from workstation.qemu import qcow2
from workstation.qemu.monitor import Monitor

# -- names ----------------------------------------------------------------------


def find_tag(name: str, history: History, tag: str) -> str:
    """The layer that a machine's snapshot names; raises NotFoundError with what is there."""
    if tag in history.snapshots:
        return history.snapshots[tag]
    near = get_close_matches(tag, history.snapshots, n=1)
    known = ", ".join(history.snapshots) or "none yet"
    raise NotFoundError(
        f"“{name}” has no snapshot “{tag}”",
        hint=f"did you mean “{near[0]}”?" if near else f"its snapshots: {known}",
    )


def find_layer(name: str, store: Store, history: History, wanted: str) -> Layer:
    """A layer of the machine, by a snapshot's name or by the beginning of its own id."""
    if wanted not in history.snapshots and re.fullmatch(r"[0-9a-f]{6,16}", wanted):
        reached = store.reachable(heads.roots(history))
        found = [layer for layer in reached if layer.startswith(wanted)]
        if len(found) == 1:
            return store.read(found[0])
    return store.read(find_tag(name, history, wanted))


def check_new_tag(name: str, history: History, tag: str) -> None:
    """Raise UsageError unless the machine could have a snapshot of that name."""
    if not re.fullmatch(TAG_PATTERN, tag):
        raise UsageError(
            f"“{tag}” cannot be a snapshot's name",
            hint="take up to 40 letters, digits, “.”, “_” and “-”, a letter or digit first",
        )
    if tag in history.snapshots:
        raise UsageError(
            f"“{name}” has a snapshot “{tag}” already", hint="choose another name, or delete it"
        )


def check_note(note: str) -> None:
    """Raise UsageError unless a layer could have that note."""
    if len(note) > 200 or not note.isprintable():
        raise UsageError("that cannot be a note", hint="take one line of at most 200 characters")


# -- suspend --------------------------------------------------------------------


async def suspend(machine: Machine, monitor: Monitor, progress: Progress) -> None:
    """The memory of a running machine goes into its head; at the return QEMU may be ended.

    The drives stay as they are: nothing writes to them until the machine goes on.
    """
    paths = machine.paths
    history = heads.read_history(paths)
    memory = provenance(machine)
    profile = machine.definition.profile if machine.definition else None
    check_room(paths.data, profile.memory if profile else 0, IN_THE_LIBRARY)
    await check_memory(machine, monitor, f"or shut it down: workstation stop {machine.name}")
    directory = paths.head(history.head.id)
    unfinished = directory / heads.UNFINISHED_MEMORY
    unfinished.unlink(missing_ok=True)
    try:
        await write_memory(monitor, unfinished, progress, live=False)
        unfinished.replace(directory / memory.name)
        await asyncio.to_thread(heads.sync, directory)
        head = history.head.model_copy(update={"resume": "head", "memory": memory})
        heads.write_history(paths, history.model_copy(update={"head": head}))
    except BaseException:
        heads.drop_memory(paths, heads.read_history(paths).head)
        raise


# -- going back -----------------------------------------------------------------


async def revert(
    machine: Machine,
    store: Store,
    wanted: str,
    end: Callable[[], Awaitable[None]],
) -> None:
    """The machine gets a blank head on that snapshot or layer; what its old head held is gone."""

    def back(history: History, new: str) -> History:
        layer = find_layer(machine.name, store, history, wanted)
        head = Head(id=new, layer=layer.id, resume="layer" if layer.memory else "")
        return history.model_copy(update={"head": head})

    await stand_elsewhere(machine, store, back, end)


async def stand_elsewhere(
    machine: Machine,
    store: Store,
    choose: Callable[[History, str], History],
    end: Callable[[], Awaitable[None]],
) -> None:
    """The machine gets a blank head, on the layer that `choose` says; its old head is gone.

    `choose` makes the machine's history with a head of that id. `end` ends its QEMU, as late as
    can be: what needs room on the disk is written before.
    """
    paths, new = machine.paths, heads.new_id()
    async with moving(machine, store, Pending(head=new, restore=True)):
        with store.adding():
            after = choose(heads.read_history(paths), new)
            await heads.make_head(paths, _sizes_at(store, store.read(after.head.layer or "")), new)
            with heads.prepared_history(paths, after) as write_history:
                await end()
                write_history()
        restore(machine, store)
    heads.drop_other_heads(paths, new)


def _sizes_at(store: Store, layer: Layer) -> dict[str, int]:
    """The virtual size of each drive as it was at that layer, in bytes."""
    tops = {name: store.disk_files(layer.id, name)[0] for name in heads.drive_ids(layer.profile)}
    return {name: qcow2.virtual_size(top, top.format) for name, top in tops.items()}


# -- branch ---------------------------------------------------------------------


async def clone(
    paths: Paths,
    store: Store,
    facts: HostFacts,
    layer: Layer,
    name: str,
    *,
    tag: str,
    copying: Progress | None = None,
) -> Definition:
    """A new machine on the same layer: its own UUID, MACs and head; no disk is copied.

    With `copying` all of them are, and the machine stands on nothing: it boots cold.
    """
    profile = with_new_macs(layer.profile).model_copy(update={"name": name})
    definition = Definition(
        uuid=uuid4(),
        created=datetime.now(UTC).replace(microsecond=0),
        based_on=layer.machine,
        profile=profile,
    )
    with store.adding(), library.making(paths, name) as machine:
        store.chain(layer.id)  # nobody has deleted it meanwhile
        head = await stand_on(machine, store, layer)
        if copying:
            await copy_layers(machine, store, facts, layer, head, copying)
            history = History(head=Head(id=head))
        else:
            history = _standing_on(layer, head, tag)
        heads.write_history(machine, history)
        write_definition(machine, definition, name)
        await asyncio.to_thread(library.sync_tree, machine.data)
    return definition


async def stand_on(machine: MachinePaths, store: Store, layer: Layer) -> str:
    """A new machine gets what it starts with on that layer; returns the id of its blank head."""
    _link_boot(store, layer, machine.boot)
    head = await heads.make_head(machine, _sizes_at(store, layer))
    heads.restore_tpm(store.directory(layer.id), machine)
    return head


def _standing_on(layer: Layer, head: str, tag: str) -> History:
    frozen = layer.memory is not None
    top = Head(id=head, layer=layer.id, resume="layer" if frozen else "", network_off=frozen)
    return History(head=top, snapshots={tag: layer.id} if tag else {})


def _link_boot(store: Store, layer: Layer, target: Path) -> None:
    for name in ("vmlinuz", "initrd"):
        source = store.directory(layer.id) / name
        if source.exists():
            target.mkdir(mode=0o700, exist_ok=True)
            (target / name).hardlink_to(source)

"""What is done with layers once they are there: suspend, go back, branch, names."""

import asyncio
import re
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from uuid import uuid4

from workstation.core import atomic, heads, library
from workstation.core.create import with_new_macs, write_definition
from workstation.core.freeze import (
    Progress,
    check_room,
    is_running,
    let_go_on,
    provenance,
    write_memory,
)
from workstation.core.machine import Machine
from workstation.core.store import Store
from workstation.errors import MonitorError, NotFoundError, UsageError
from workstation.model.host import HostFacts
from workstation.model.layer import TAG_PATTERN, Head, History, Layer
from workstation.model.machine import Definition
from workstation.paths import Paths
from workstation.profile.dump import dump_definition
from workstation.qemu import qcow2

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


# -- suspend --------------------------------------------------------------------


async def suspend(machine: Machine, progress: Progress) -> None:
    """The memory of a running machine goes into its head; at the return QEMU may be ended.

    The drives stay as they are: nothing writes to them until the machine goes on.
    """
    monitor, paths = machine.monitor, machine.paths
    if monitor is None:
        raise MonitorError(f"“{machine.name}” cannot be asked: {machine.view.reason}")
    history = heads.read_history(paths)
    memory = provenance(machine)
    profile = machine.definition.profile if machine.definition else None
    check_room(paths.data, profile.memory if profile else 0)
    target = paths.head(history.head.id) / memory.name
    target.unlink(missing_ok=True)
    was_running = await is_running(monitor)
    try:
        await write_memory(monitor, target, progress)
    except BaseException:
        target.unlink(missing_ok=True)
        await asyncio.shield(let_go_on(monitor, was_running))
        raise
    await asyncio.to_thread(heads.sync, target.parent)
    head = history.head.model_copy(update={"resume": "head", "memory": memory})
    heads.write_history(paths, history.model_copy(update={"head": head}))


# -- going back -----------------------------------------------------------------


async def revert(machine: Machine, store: Store, facts: HostFacts, layer: Layer) -> None:
    """A machine without QEMU gets a blank head on the layer; what its old head held is gone."""
    paths = machine.paths
    history = heads.read_history(paths)
    sizes = _sizes_at(store, layer)
    new = await heads.make_head(facts.qemu_img, paths, sizes)
    heads.restore_tpm(store.directory(layer.id), paths)
    if machine.definition and machine.definition.profile != layer.profile:
        restored = machine.definition.model_copy(update={"profile": layer.profile})
        atomic.write(paths.file, dump_definition(restored, machine.name))
    head = Head(id=new, layer=layer.id, resume="layer" if layer.memory else "")
    heads.write_history(paths, history.model_copy(update={"head": head}))
    heads.drop_other_heads(paths, new)


def _sizes_at(store: Store, layer: Layer) -> dict[str, int]:
    """The virtual size of each drive as it was at that layer, in bytes."""
    tops = {name: store.disk_files(layer.id, name)[0] for name in heads.drive_ids(layer.profile)}
    return {name: qcow2.virtual_size(top.path, top.format) for name, top in tops.items()}


# -- branch ---------------------------------------------------------------------


async def clone(
    paths: Paths, store: Store, facts: HostFacts, layer: Layer, name: str, *, tag: str
) -> Definition:
    """A new machine on the same layer: its own UUID, MACs and head; no disk is copied."""
    profile = with_new_macs(layer.profile).model_copy(update={"name": name})
    definition = Definition(
        uuid=uuid4(),
        created=datetime.now(UTC).replace(microsecond=0),
        based_on=layer.machine,
        profile=profile,
    )
    with store.adding(), library.making(paths, name) as machine:
        _link_boot(store, layer, machine.boot)
        head = await heads.make_head(facts.qemu_img, machine, _sizes_at(store, layer))
        heads.restore_tpm(store.directory(layer.id), machine)
        frozen = layer.memory is not None
        top = Head(id=head, layer=layer.id, resume="layer" if frozen else "", network_off=frozen)
        snapshots = {tag: layer.id} if tag else {}
        heads.write_history(machine, History(head=top, snapshots=snapshots))
        write_definition(machine, definition, name)
        await asyncio.to_thread(library.sync_tree, machine.data)
    return definition


def _link_boot(store: Store, layer: Layer, target: Path) -> None:
    for name in ("vmlinuz", "initrd"):
        source = store.directory(layer.id) / name
        if source.exists():
            target.mkdir(mode=0o700, exist_ok=True)
            (target / name).hardlink_to(source)

"""A machine's history file and its heads: what it runs on, and how that is exchanged.

Exchanging a head is one atomic write of `history.json`. Until then the old head is whole, after it
the new one is; the directory that the file does not name is rubbish.
"""

import asyncio
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from workstation.core import atomic
from workstation.core.layers.store import Source, Store
from workstation.core.library import library
from workstation.errors import InvalidError, NotAllowedError
from workstation.model.layer import Head, History, Layer, Memory
from workstation.model.profile import Firmware, Profile
from workstation.paths import MachinePaths
from workstation.qemu import qcow2
from workstation.qemu.blockdev import DiskFile
from workstation.qemu.extent import Extent

TPM = "tpm"
"""The directory of the TPM's state in a layer."""

MEMORY = "memory"
"""The file of a guest's memory, in a head and in a layer."""

PRINTED = "printed"
"""The end of what the guest had said on its serial line, in a layer that has its memory."""

UNFINISHED_MEMORY = "memory.new"
"""The same in a head while it is being written."""


def of_memory(layer: Layer) -> set[str]:
    """A layer's files that are nothing without its memory, itself included."""
    return {layer.memory.name, PRINTED} if layer.memory else set()


def read_history(machine: MachinePaths) -> History:
    """Raises InvalidError where the file is missing or is not ours."""
    try:
        return History.model_validate_json(machine.history.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidError(
            f"the history of “{machine.name}” cannot be read",
            hint=f"look at {machine.history}",
            details=str(error),
        ) from error


def write_history(machine: MachinePaths, history: History) -> None:
    atomic.write(machine.history, history.model_dump_json(indent=1))


@contextmanager
def prepared_history(machine: MachinePaths, history: History) -> Iterator[Callable[[], None]]:
    """`write_history` in two parts: the call needs no room on the disk any more."""
    with atomic.prepared(machine.history, history.model_dump_json(indent=1)) as write:
        yield write


def new_id() -> str:
    return secrets.token_hex(8)


def drive_ids(profile: Profile) -> list[str]:
    """The ids of all that a head has an overlay of."""
    drives = [f"drive{number}" for number in range(len(profile.drives))]
    return [*drives, "nvram"] if profile.boot.firmware is not Firmware.BIOS else drives


async def make_head(machine: MachinePaths, sizes: Mapping[str, int], head: str = "") -> str:
    """A new head with a blank overlay a drive, `sizes` in bytes, that lasts; returns its id."""
    head = head or new_id()
    await asyncio.to_thread(_make_head, machine, sizes, head)
    return head


def _make_head(machine: MachinePaths, sizes: Mapping[str, int], head: str) -> None:
    machine.heads.mkdir(mode=0o700, exist_ok=True)
    machine.head(head).mkdir(mode=0o700)
    for drive, size in sizes.items():
        qcow2.create_blank(machine.overlay(head, drive), size)
    sync(machine.head(head))


async def add_overlay(machine: MachinePaths, head: str, drive: str, size: int) -> None:
    """One more blank overlay in a head, that lasts."""
    await asyncio.to_thread(_add_overlay, machine, head, drive, size)


def _add_overlay(machine: MachinePaths, head: str, drive: str, size: int) -> None:
    qcow2.create_blank(machine.overlay(head, drive), size)
    sync(machine.head(head))


def sizes_of(machine: MachinePaths, head: str) -> dict[str, int]:
    """The virtual size in bytes of each overlay of a head."""
    return {
        file.stem: qcow2.read_header(file).size
        for file in sorted(machine.head(head).glob("*.qcow2"))
    }


def chain_of(machine: MachinePaths, store: Store, head: Head, drive: str) -> tuple[DiskFile, ...]:
    """The files of a drive, from its head to its base."""
    top = DiskFile(machine.overlay(head.id, drive))
    return (top, *store.disk_files(head.layer, drive))


def restore_tpm(source: Path, machine: MachinePaths) -> None:
    """The machine's TPM gets the state that lies in a layer's directory."""
    state = source / TPM
    if state.is_dir():
        shutil.rmtree(machine.tpm_state, ignore_errors=True)
        shutil.copytree(state, machine.tpm_state, copy_function=shutil.copyfile)


def drop_other_heads(machine: MachinePaths, keep: str) -> None:
    """Remove the heads that the history does not name."""
    with suppress(FileNotFoundError):
        for directory in machine.heads.iterdir():
            if directory.name != keep:
                shutil.rmtree(directory, ignore_errors=True)


def drop_head(machine: MachinePaths, head: str) -> None:
    shutil.rmtree(machine.head(head), ignore_errors=True)


def drop_memory(machine: MachinePaths, head: Head) -> None:
    """Remove memory, whole or half, that the next start does not go on from."""
    unfinished = machine.head(head.id) / UNFINISHED_MEMORY
    unfinished.unlink(missing_ok=True)
    if head.resume != "head":
        (machine.head(head.id) / MEMORY).unlink(missing_ok=True)


def memory_of(store: Store, machine: MachinePaths, head: Head) -> tuple[Source, Memory]:
    """Where the memory lies that a start goes on from, and what it needs."""
    if head.resume == "head" and head.memory:
        return Extent(machine.head(head.id) / head.memory.name), head.memory
    layer = store.read(head.layer or "")
    if not layer.memory:
        raise NotAllowedError(f"the layer {layer.id} has no memory")
    return store.source(layer.id, layer.memory.name), layer.memory


def is_blank(machine: MachinePaths, head: str) -> bool:
    """Whether nothing was ever written to a head."""
    return not is_written(machine, head)


def is_written(machine: MachinePaths, head: str) -> bool:
    """Whether anything was ever written to a head, if it is there."""
    return not all(qcow2.is_blank(file) for file in machine.head(head).glob("*.qcow2"))


def written(machine: MachinePaths, head: str) -> int:
    """Bytes that a head takes on the disk."""
    return sum(
        file.stat().st_blocks * 512 for file in machine.head(head).rglob("*") if file.is_file()
    )


def fresh_tag(wanted: str, history: History) -> str:
    """That name, or with a number behind it where the machine has a snapshot of that name."""
    tag, number = wanted, 1
    while tag in history.snapshots:
        number += 1
        tag = f"{wanted}-{number}"
    return tag


def roots(history: History) -> list[str]:
    """The layers that a history leads to directly: its head's and its snapshots'."""
    head = [history.head.layer] if history.head.layer else []
    return [*head, *history.snapshots.values()]


def sync(directory: Path) -> None:
    """Make a head's files last; call it in a thread."""
    library.sync_tree(directory)
    atomic.sync_directory(directory)
    atomic.sync_directory(directory.parent)

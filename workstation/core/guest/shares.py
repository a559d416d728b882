"""A running guest's 9p shares are unmounted while its memory is saved, and mounted again.

QEMU cannot save the memory of a guest that has one mounted. Its agent does what a person would:
umount, then mount as it was. What is in use there stays, and the snapshot is refused. A virtiofs
share of an older QEMU or virtiofsd is in the way as long as it is plugged in, and its place on the
bus takes no unplugging; of newer ones it goes along.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from workstation.core.guest import files
from workstation.core.guest.agent import asking
from workstation.core.guest.run import run
from workstation.core.machine.in_force import in_force
from workstation.core.machine.machine import Machine
from workstation.errors import NotAllowedError, WorkstationError
from workstation.model.events import Severity
from workstation.model.text import safe_line

SECONDS = 20.0
"""For one call of mount or umount: what is to be written there is written first."""

_MOST = 64


class Mounted(NamedTuple):
    """As the guest's /proc/mounts has it (proc(5))."""

    tag: str
    path: str
    options: str


@asynccontextmanager
async def put_away(machine: Machine) -> AsyncIterator[None]:
    """Within it the guest has no 9p share mounted, where its agent can bring that about.

    Raises NotAllowedError where the guest uses one. Where no agent answers all stays as it is.
    """
    mounted = await _unmounted(machine) if await _blocked(machine) else []
    try:
        yield
    finally:
        if mounted and machine.pair():
            # Whatever becomes of us: the guest gets back what it had.
            await asyncio.shield(_mount(machine, mounted))


async def mount_again(machine: Machine) -> None:
    """After a resume: what the guest mounts at each boot is mounted."""
    profile = in_force(machine)
    if profile and any(share.mode == "9p" for share in profile.shares):
        try:
            await run(machine, ["mount", "-a", "-t", "9p"], timeout=SECONDS)
        except WorkstationError as error:
            machine.log(f"its shares may not be mounted: {error}", Severity.WARNING)


async def _blocked(machine: Machine) -> bool:
    if machine.monitor is None:
        return False
    said = await machine.monitor.execute("query-migrate")
    return any("VirtFS" in str(reason) for reason in said.get("blocked-reasons", []))


async def _unmounted(machine: Machine) -> list[Mounted]:
    """What was mounted, and is no more."""
    try:
        async with asking(machine) as agent:
            table = await files.read_text(agent, "/proc/mounts")
    except WorkstationError:
        return []  # QEMU's refusal says what is to be done
    done: list[Mounted] = []
    for one in reversed(mounts(table)):
        ran = await run(machine, ["umount", one.path], timeout=SECONDS)
        if ran.code:
            await _mount(machine, done)
            raise _in_use(machine, one, ran.err)
        done.append(one)
    return done


def mounts(table: str) -> list[Mounted]:
    """The 9p shares of a table of mounts, in their order; other things in it are passed over."""
    rows = [line.split(" ") for line in table.splitlines()]
    found = [Mounted(*map(_unescaped, (row[0], row[1], row[3]))) for row in rows if _is_share(row)]
    return found[:_MOST]


def _is_share(row: list[str]) -> bool:
    return len(row) >= 4 and row[2] == "9p" and "trans=virtio" in row[3].split(",")


def _unescaped(text: str) -> str:
    """Blanks, tabs, new lines and backslashes are octal there."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _in_use(machine: Machine, share: Mounted, said: bytes) -> NotAllowedError:
    return NotAllowedError(
        f"the memory of “{machine.name}” cannot be saved while its guest uses the share"
        f" “{safe_line(share.tag, limit=40)}”",
        hint=f"end what uses {safe_line(share.path, limit=80)} there; or keep its disks only:"
        f" workstation snapshot {machine.name} TAG --disks-only",
        details=safe_line(said.decode(errors="replace"), limit=500),
    )


async def _mount(machine: Machine, shares: list[Mounted]) -> None:
    """As they were, the first of them first."""
    for one in reversed(shares):
        words = ["mount", "-t", "9p", "-o", one.options, one.tag, one.path]
        try:
            ran = await run(machine, words, timeout=SECONDS)
            trouble = safe_line(ran.err.decode(errors="replace"), limit=200) if ran.code else ""
        except WorkstationError as error:
            trouble = str(error)
        if trouble:
            machine.log(
                f"its share “{safe_line(one.tag, limit=40)}” was not mounted again: {trouble}",
                Severity.WARNING,
            )

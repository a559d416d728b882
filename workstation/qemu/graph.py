"""Changes to the block nodes of a running QEMU."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from workstation.errors import MonitorError, room_hint
from workstation.model.profile import Cache
from workstation.qemu import luks
from workstation.qemu.blockdev import (
    FILE,
    HOST,
    DiskFile,
    Node,
    container_node,
    nodes,
    overlay_node,
    place,
)
from workstation.qemu.extent import Extent
from workstation.qemu.monitor import Monitor, Session
from workstation.qemu.secrets import containers


async def heads(session: Session) -> dict[str, str]:
    """For each drive (`drive0`…, `nvram`): the node that its device writes to."""
    blocks = [block.get("inserted") for block in await session.execute("query-block")]
    nodes = [str(block["node-name"]) for block in blocks if block and not block["ro"]]
    return {node.partition(".")[0]: node for node in nodes}


async def heads_in_use(session: Session) -> set[str]:
    """The heads that drives were switched to while QEMU ran."""
    tops = (await heads(session)).values()
    return {head for _, _, head in (node.partition(".") for node in tops) if head}


def node_name(drive: str, head: str) -> str:
    """The node of a drive's overlay that was put on while QEMU ran."""
    return f"{drive}.{head}"


async def put_on(
    monitor: Monitor, overlays: Mapping[str, Path], head: str, settings: Mapping[str, Cache]
) -> None:
    """Put a blank overlay on every drive, all at the same instant; the guest must stand still."""
    below, actions = await heads(monitor), []
    for drive, file in overlays.items():
        if drive not in below:
            continue  # added to the profile, and to QEMU from its next start
        node = overlay_node(
            node_name(drive, head),
            DiskFile(file),
            cache=settings.get(drive, Cache.WRITEBACK),
            discard=True,
            writable=True,
            backing=None,
        )
        await monitor.execute("blockdev-add", **node)
        data = {"node": below[drive], "overlay": node_name(drive, head)}
        actions.append({"type": "blockdev-snapshot", "data": data})
    if actions:
        await monitor.execute("transaction", actions=actions)


async def take_away(session: Session, head: str) -> None:
    """Remove what `put_on` has added of a head that no drive was switched to."""
    for node in await _nodes(session):
        if node.endswith(f".{head}"):
            await session.execute("blockdev-del", **{"node-name": node})


async def _nodes(session: Session) -> dict[str, Any]:
    """Every node by its name."""
    found = await session.execute("query-named-block-nodes", flat=True)
    return {str(node["node-name"]): node for node in found}


# -- merging -----------------------------------------------------------------

_POLL_SECONDS = 0.05


async def open_chain(session: Session, name: str, files: Sequence[DiskFile]) -> None:
    """Add a chain, given from its top to its base; its top node is called `name`."""
    await unlock(session, files)
    for node in nodes(name, files, cache=Cache.WRITEBACK, discard=True):
        await session.execute("blockdev-add", **node)


async def unlock(session: Session, files: Sequence[Extent]) -> None:
    """Give the secrets of those that are encrypted, where QEMU has them not."""
    for name, container in containers(files).items():
        known = await session.execute("qom-list", path="/")
        if any(one["name"] == "objects" for one in known):
            known = await session.execute("qom-list", path="/objects")
        if all(one["name"] != name for one in known):
            secret = {"qom-type": "secret", "id": name, "data": luks.secret(container.key)}
            await session.execute("object-add", **secret)


async def same_file(session: Session, extent: Extent) -> str:
    """The node that has those very bytes open, by whatever name; empty where none has."""
    wanted = _place(extent)
    for name, node in (await _nodes(session)).items():
        if wanted and name.endswith(FILE) and _place(_extent(node["file"])) == wanted:
            return name.removesuffix(FILE)
    return ""


async def parts(session: Session) -> dict[str, Extent]:
    """The images that lie inside larger files: where, by their nodes' names."""
    found = {}
    for name, node in (await _nodes(session)).items():
        if name.endswith(FILE) and node["drv"] == "raw":
            extent = _extent(node["file"])
            if not extent.whole:
                found[name.removesuffix(FILE)] = extent
    return found


async def point(session: Session, node: str, extent: Extent) -> None:
    """An image that lies inside a larger file is read elsewhere from now on: the same bytes.

    The guest may run. Raises MonitorError, and then nothing has changed.
    """
    known = await _nodes(session)
    host = next(name for number in count() if (name := f"{node}{HOST}{number}") not in known)
    opened: Node = {"driver": "file", "filename": str(extent.path)}
    if extent.sealed:
        await unlock(session, [extent])
        opened = container_node(extent.sealed, extent.path)
    await session.execute("blockdev-add", **opened, **{"node-name": host, "read-only": True})
    part = {"driver": "raw", "node-name": f"{node}{FILE}", "read-only": True, "file": host}
    lies = {} if extent.whole else place(extent)
    try:
        await session.execute("blockdev-reopen", options=[{**part, **lies}])
    except MonitorError:
        await session.execute("blockdev-del", **{"node-name": host})
        raise
    for name in known:
        if name.startswith(f"{node}{HOST}"):
            with suppress(MonitorError):  # the one from its start goes by itself
                await session.execute("blockdev-del", **{"node-name": name})


def _extent(filename: str) -> Extent:
    """What QEMU calls the file of a node: its path, or `json:` and how its part was opened."""
    if not filename.startswith("json:"):
        return Extent(Path(filename))
    part = json.loads(filename.removeprefix("json:"))
    offset, size = int(part.get("offset", 0)), part.get("size")
    while file := part.get("file"):  # each in the next one; what is encrypted begins further on
        offset += luks.HEADER if file.get("driver") == "luks" else int(file.get("offset", 0))
        part = file
    return Extent(Path(part.get("filename", "")), offset, size)


def _place(extent: Extent) -> tuple[int, int, int] | None:
    try:
        found = extent.path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, extent.offset


async def stream(
    session: Session,
    top: str,
    base: str,
    progress: Callable[[float, float], None],
) -> None:
    """Copy into `top` what lies between it and `base` (empty: all of it), guest running or not.

    Only copies are added to the top, so a chain that still has the layers between stays right at
    every moment. The copies last when this returns; that QEMU says "concluded" is not enough.
    """
    job = f"stream-{top.replace('.', '-')}"
    options: dict[str, object] = {"base-node": base, "backing-file": ""} if base else {}
    arguments = {"job-id": job, "device": top, "auto-finalize": True, "auto-dismiss": False}
    await session.execute("block-stream", **arguments, **options)
    try:
        await _concluded(session, job, progress)
    except BaseException:
        await asyncio.shield(_cancel(session, job))
        raise
    await session.execute("job-dismiss", id=job)
    await _flush(session, top)


_ON_ITSELF = ("already in use", "already has a backing image", "create a cycle")
"""What `blockdev-snapshot` finds wrong with a node on itself: in use by a guest, on a chain, or
neither (blockdev.c, external_snapshot_prepare: after its flush)."""


async def _flush(session: Session, node: str) -> None:
    """Make all that QEMU has written to a node last; raises MonitorError where it does not.

    `stop` flushes too, and says nothing where that fails. `blockdev-snapshot` flushes first of
    all, and says so; that a node cannot be put on itself is what it finds next.
    """
    try:
        await session.execute("blockdev-snapshot", node=node, overlay=node)
    except MonitorError as error:
        if not any(words in str(error) for words in _ON_ITSELF):
            raise MonitorError(
                f"the disks of “{session.name}” could not be written: {error}",
                hint="make room on the host's disk, then do it again",
            ) from error


async def _concluded(session: Session, job: str, progress: Callable[[float, float], None]) -> None:
    while True:
        jobs = {one["id"]: one for one in await session.execute("query-jobs")}
        found = jobs.get(job, {"status": "concluded", "error": "it vanished"})
        if found["status"] == "concluded":
            if "error" in found:
                raise MonitorError(
                    f"merging layers of “{session.name}” failed: {found['error']}",
                    hint=room_hint(found["error"]),
                )
            return
        progress(found["current-progress"], found["total-progress"])
        await asyncio.sleep(_POLL_SECONDS)


async def _cancel(session: Session, job: str) -> None:
    with suppress(MonitorError):
        await session.execute("job-cancel", id=job)
    with suppress(MonitorError):
        while True:
            jobs = {one["id"]: one["status"] for one in await session.execute("query-jobs")}
            if jobs.get(job, "concluded") == "concluded":
                break
            await asyncio.sleep(_POLL_SECONDS)
        await session.execute("job-dismiss", id=job)


async def cancel_jobs(session: Session) -> None:
    """End the merges of a front-end that is gone."""
    for job in await session.execute("query-jobs"):
        await _cancel(session, job["id"])


async def close_chain(session: Session, name: str, length: int) -> None:
    """Take a chain of `open_chain` away again, flushed; nodes that a merge dropped are gone."""
    known = await _nodes(session)
    for node in (name, *(f"{name}-{depth}" for depth in range(1, length))):
        if node in known:
            with suppress(MonitorError):
                await session.execute("blockdev-del", **{"node-name": node})

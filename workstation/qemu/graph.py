"""Changes to the block nodes of a running QEMU."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from workstation.errors import MonitorError
from workstation.model.profile import Cache
from workstation.qemu.blockdev import DiskFile, nodes, overlay_node
from workstation.qemu.monitor import Monitor, Session


async def heads(monitor: Session) -> dict[str, tuple[str, Path]]:
    """For each drive (`drive0`…, `nvram`): the node it writes to, and that node's file."""
    nodes = await monitor.execute("query-named-block-nodes", flat=True)
    files = {node["node-name"]: Path(node["file"]) for node in nodes if node["drv"] == "qcow2"}
    writable = {node["node-name"] for node in nodes if not node["ro"]}
    found = {}
    for name, file in files.items():
        drive = name.partition(".")[0]
        if name in writable:
            found[drive] = (name, file)
    return found


def node_name(drive: str, head: str) -> str:
    """The node of a drive's overlay that was put on while QEMU ran."""
    return f"{drive}.{head}"


async def put_on(
    monitor: Monitor, overlays: Mapping[str, Path], head: str, settings: Mapping[str, Cache]
) -> None:
    """Put a blank overlay on every drive, all at the same instant; the guest must stand still."""
    below = {drive: node for drive, (node, _) in (await heads(monitor)).items()}
    actions = []
    for drive, file in overlays.items():
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


# -- merging -----------------------------------------------------------------

_POLL_SECONDS = 0.05


async def open_chain(session: Session, name: str, files: Sequence[DiskFile]) -> None:
    """Add a chain, given from its top to its base; its top node is called `name`."""
    for node in nodes(name, files, cache=Cache.WRITEBACK, discard=True):
        await session.execute("blockdev-add", **node)


async def same_file(session: Session, path: Path) -> str:
    """The node that has that very file open, by whatever name; empty where none has."""
    nodes = await session.execute("query-named-block-nodes", flat=True)
    wanted = _inode(path)
    return next(
        (
            str(node["node-name"])
            for node in nodes
            if node["drv"] in ("qcow2", "raw") and _inode(Path(node["file"])) == wanted
        ),
        "",
    )


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


async def stream(
    session: Session,
    top: str,
    base: str,
    progress: Callable[[float, float], None],
) -> None:
    """Copy into `top` what lies between it and `base` (empty: all of it), guest running or not.

    Only copies are added to the top, so a chain that still has the layers between stays right at
    every moment; that QEMU says "concluded" does not make the copies last: see `barrier`.
    """
    job = f"stream-{top.replace('.', '-')}"
    options: dict[str, object] = {"base-node": base, "backing-file": "below"} if base else {}
    arguments = {"job-id": job, "device": top, "auto-finalize": True, "auto-dismiss": False}
    await session.execute("block-stream", **arguments, **options)
    try:
        await _concluded(session, job, progress)
    except BaseException:
        await asyncio.shield(_cancel(session, job))
        raise
    await session.execute("job-dismiss", id=job)


async def _concluded(session: Session, job: str, progress: Callable[[float, float], None]) -> None:
    while True:
        jobs = {one["id"]: one for one in await session.execute("query-jobs")}
        found = jobs.get(job, {"status": "concluded", "error": "it vanished"})
        if found["status"] == "concluded":
            if "error" in found:
                raise MonitorError(f"merging layers of “{session.name}” failed: {found['error']}")
            return
        progress(found["current-progress"], found["total-progress"])
        await asyncio.sleep(_POLL_SECONDS)


async def _cancel(session: Session, job: str) -> None:
    with suppress(MonitorError):
        await session.execute("job-cancel", id=job)
        while True:
            jobs = {one["id"]: one["status"] for one in await session.execute("query-jobs")}
            if jobs.get(job, "concluded") == "concluded":
                break
            await asyncio.sleep(_POLL_SECONDS)
        await session.execute("job-dismiss", id=job)


async def barrier(session: Session) -> None:
    """Make all that QEMU has written last: `stop` flushes every drive."""
    running = (await session.execute("query-status"))["status"] == "running"
    if running:
        await session.execute("stop")
        await session.execute("cont")


async def close_chain(session: Session, name: str, length: int) -> None:
    """Take a chain of `open_chain` away again, flushed; nodes that a merge dropped are gone."""
    known = {
        one["node-name"] for one in await session.execute("query-named-block-nodes", flat=True)
    }
    for node in (name, *(f"{name}-{depth}" for depth in range(1, length))):
        if node in known:
            with suppress(MonitorError):
                await session.execute("blockdev-del", **{"node-name": node})

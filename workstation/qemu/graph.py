"""Changes to the block nodes of a running QEMU."""

from collections.abc import Mapping
from pathlib import Path

from workstation.model.profile import Cache
from workstation.qemu.monitor import Monitor


async def heads(monitor: Monitor) -> dict[str, tuple[str, Path]]:
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
        cache = settings.get(drive, Cache.WRITEBACK)
        node = {
            "driver": "qcow2",
            "node-name": node_name(drive, head),
            "discard": "unmap",
            "cache": {"direct": cache is Cache.NONE, "no-flush": cache is Cache.UNSAFE},
            "file": {"driver": "file", "filename": str(file)},
            "backing": None,
        }
        await monitor.execute("blockdev-add", **node)
        data = {"node": below[drive], "overlay": node_name(drive, head)}
        actions.append({"type": "blockdev-snapshot", "data": data})
    if actions:
        await monitor.execute("transaction", actions=actions)

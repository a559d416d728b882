"""The run states of machines that live, asked of their QEMUs all at once."""

import asyncio
from collections.abc import Mapping
from uuid import UUID

from workstation.errors import MonitorError
from workstation.paths import Paths
from workstation.qemu.monitor import Monitor


def ask_all(paths: Paths, uuids: Mapping[str, str]) -> dict[str, str]:
    """QEMU's run state per machine; those that do not answer are left out."""
    return asyncio.run(_ask_all(paths, uuids))


async def _ask_all(paths: Paths, uuids: Mapping[str, str]) -> dict[str, str]:
    names = list(uuids)
    answers = await asyncio.gather(*(_ask(paths, name, uuids[name]) for name in names))
    return {name: answer for name, answer in zip(names, answers, strict=True) if answer}


async def _ask(paths: Paths, name: str, uuid: str) -> str:
    monitor = Monitor(paths.machine(name), lambda event: None)
    try:
        async with asyncio.timeout(5):
            await monitor.connect(UUID(uuid))
            return str((await monitor.execute("query-status"))["status"])
    except (MonitorError, TimeoutError, ValueError):
        return ""
    finally:
        await monitor.disconnect()

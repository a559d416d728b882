"""A guest's memory to a file and back: QEMU's migration stream over a descriptor."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from workstation.errors import MonitorError, room_hint
from workstation.qemu.monitor import Monitor, Session

UNTHROTTLED = 2**40
"""Bytes a second: more than any disk writes. QEMU's default would throttle a file."""

DOWNTIME_MS = 10
"""How long QEMU may expect the last, still part to take: its default, 300, lets the guest stand
still for most of that while a write of what is left would be done in a tenth of it."""

CONVERGE_SECONDS = 10.0
"""How long a guest that dirties its memory faster than the disk takes it may go on running."""

RUNS_ON_MEANWHILE = frozenset({"kvm"})
"""Accelerators under which a guest may run while its memory is saved. TCG (QEMU 7.2) misses pages
that a busy guest writes meanwhile: on a loaded host 3 of 34 guests that were resumed from such a
memory broke within a second (kernel stacks gone), none of 117 that had stood still."""

_POLL_SECONDS = 0.02


async def save_memory(
    monitor: Monitor, descriptor: int, progress: Callable[[float, float], None]
) -> int:
    """Write the memory of a guest that runs on meanwhile; at the return it stands still.

    Returns the bytes of guest memory that were looked at; `progress` gets bytes done and in all.
    Where this fails or is cancelled the guest may stand still or not: the caller lets it go on.
    """
    limits = {"max-bandwidth": UNTHROTTLED, "downtime-limit": DOWNTIME_MS}
    await monitor.execute("migrate-set-parameters", **limits)
    # Told of the end at once: the guest stands still from then on.
    told = [{"capability": "events", "state": True}]
    await monitor.execute("migrate-set-capabilities", capabilities=told)
    try:
        address = await _address(monitor, descriptor)
        await monitor.execute("migrate", uri=address)
        saved = await _finished(monitor, descriptor, progress)
        if address.startswith("file:"):
            await monitor.take_back()
        return saved
    except BaseException:
        await asyncio.shield(give_up(monitor))
        raise


async def _address(monitor: Session, descriptor: int) -> str:
    """The QEMU that runs may be another than the one that is installed by now."""
    capabilities = await monitor.execute("query-migrate-capabilities")
    if any(one["capability"] == "mapped-ram" for one in capabilities):
        return f"file:{await monitor.lend_descriptor(descriptor)}"
    await monitor.pass_descriptor(descriptor, "memory")
    return "fd:memory"


async def _finished(
    monitor: Monitor, descriptor: int, progress: Callable[[float, float], None]
) -> int:
    clock = asyncio.get_running_loop().time
    started, forced = clock(), False
    while True:
        answer = await monitor.execute("query-migrate")
        status, ram = answer.get("status", ""), answer.get("ram", {})
        if status == "completed":
            await _let_go(monitor)
            return int(ram.get("total", 0))
        if status in ("failed", "cancelled"):
            reason = answer.get("error-desc", status)
            blocked = "; ".join(answer.get("blocked-reasons", []))
            raise MonitorError(
                f"the memory of “{monitor.name}” was not saved: {blocked or reason}",
                # Newer ones say “Input/output error” of a disk that is full.
                hint=room_hint(reason, descriptor),
            )
        total = ram.get("total", 0)
        progress(total - ram.get("remaining", total), total)
        if not forced and clock() - started > CONVERGE_SECONDS:
            forced = True
            await monitor.execute("stop")
        await monitor.stirred(_POLL_SECONDS)


async def _let_go(monitor: Monitor) -> None:
    """QEMU says “completed” a moment before the guest may go on: until then it refuses `cont`
    (softmmu/runstate.c and migration.c: the run state changes after the migration's)."""
    while (await monitor.execute("query-status"))["status"] == "finish-migrate":  # noqa: ASYNC110
        await asyncio.sleep(_POLL_SECONDS / 10)


async def give_up(monitor: Session) -> None:
    """End a migration where one goes on; the guest stays as it is, running or not."""
    with suppress(MonitorError):  # QEMU has ended: there is nothing left to go on
        while await _moving(monitor):
            await monitor.execute("migrate_cancel")
            await asyncio.sleep(_POLL_SECONDS)
        await monitor.take_back()


async def _moving(monitor: Session) -> bool:
    status = (await monitor.execute("query-migrate")).get("status", "")
    return status in ("setup", "active", "device", "pre-switchover", "cancelling")


async def loaded(monitor: Monitor) -> None:
    """Wait until a QEMU that was started with `-incoming` has all of its memory, which nobody
    tells: a small one within milliseconds."""
    pause = _POLL_SECONDS / 10
    while (await monitor.execute("query-status"))["status"] in ("inmigrate", "prelaunch"):
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _POLL_SECONDS)

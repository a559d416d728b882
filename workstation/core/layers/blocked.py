"""What keeps a running guest's memory from being saved: asked of QEMU before anything is begun."""

from workstation.core.machine.machine import Machine
from workstation.errors import NotAllowedError
from workstation.qemu.monitor import Monitor


async def check_memory(machine: Machine, monitor: Monitor, hint: str) -> None:
    """Raise NotAllowedError, with QEMU's reasons, where a migration is blocked.

    A share blocks it while the guest has it mounted (9p), or is there at all (virtiofs).
    """
    reasons = (await monitor.execute("query-migrate")).get("blocked-reasons", [])
    if not reasons:
        return
    shared = any("VirtFS" in reason or "vhost-user-fs" in reason for reason in reasons)
    what = "while a share is in use" if shared else "now"
    raise NotAllowedError(
        f"the memory of “{machine.name}” cannot be saved {what}",
        hint=f"{_way_out(reasons)}; {hint}" if shared else hint,
        details="\n".join(map(str, reasons)),
    )


def _way_out(reasons: list[str]) -> str:
    if any("vhost-user-fs" in reason for reason in reasons):
        return (
            "a share of mode virtiofs is in the way of QEMU before 8.2, or virtiofsd before 1.11:"
            " give it mode 9p, at the next start"
        )
    return "unmount the share in the guest (umount), or run qemu-guest-agent there, which does that"

"""Going on from a frozen moment: whether this host can, and the order that keeps disks right.

The memory and the disks belong together only until the guest goes on. So the history forgets the
memory before the guest is let go, whoever lets it go: a crash after that boots cold.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from workstation.core.guest.agent import set_clock
from workstation.core.guest.shares import mount_again
from workstation.core.layers import heads
from workstation.core.layers.store import ORIGIN, Source, Store
from workstation.core.machine.in_force import in_force
from workstation.core.machine.machine import Machine
from workstation.errors import HostError, MonitorError, WorkstationError
from workstation.model.events import Severity
from workstation.model.host import HostFacts
from workstation.model.layer import Memory
from workstation.model.machine import State
from workstation.model.profile import Accelerator
from workstation.qemu.memory import loaded
from workstation.qemu.monitor import Monitor


@contextmanager
def open_memory(
    machine: Machine, store: Store, facts: HostFacts, accelerator: Accelerator
) -> Iterator[int | None]:
    """A descriptor of the memory that this start goes on from; None for a cold boot.

    Raises HostError where this host cannot take it.
    """
    head = heads.read_history(machine.paths).head
    if head.resume == "layer" and not heads.is_blank(machine.paths, head.id):
        machine.log(
            "its disks have changed since its memory was frozen: cold boot", Severity.WARNING
        )
        forget_memory(machine)
        head = heads.read_history(machine.paths).head
    elif head.resume == "layer" and not _may_load(machine, store, head.layer or ""):
        forget_memory(machine)
        head = heads.read_history(machine.paths).head
    if not head.resume:
        yield None
        return
    source, memory = heads.memory_of(store, machine.paths, head)
    check_resume(machine.name, memory, facts, accelerator)
    with _handed(machine.name, source) as descriptor:
        yield descriptor


@contextmanager
def _handed(name: str, source: Source) -> Iterator[int]:
    """The source's own trouble goes before what QEMU says of what it got."""
    with ExitStack() as opened:
        try:
            descriptor = opened.enter_context(source.handed())
        except OSError as error:
            raise HostError(
                f"the memory of “{name}” cannot be read: {error}", hint=_cold(name)
            ) from error
        try:
            yield descriptor
        except WorkstationError as error:
            if source.trouble:
                raise HostError(
                    f"the memory of “{name}” is not whole: {source.trouble}", hint=_cold(name)
                ) from error
            raise


def _may_load(machine: Machine, store: Store, layer: str) -> bool:
    """Whether its memory comes from here, or from somebody trusted; says so where not."""
    if not (store.directory(layer) / ORIGIN).exists():
        return True
    from workstation.core.bundle import origin
    from workstation.core.bundle.keys import Keys

    found = origin.read(store, layer)
    if not found or origin.may_load(store, Keys(store.paths), layer):
        return True
    machine.log(
        f"its memory was signed by {found.signer}, whom you do not trust: cold boot;"
        f" workstation trust add {found.signer}, then revert, goes on from it",
        Severity.WARNING,
    )
    return False


class Obstacle(NamedTuple):
    """Why a memory cannot be loaded here, and what could be done about it."""

    what: str
    mend: str


def obstacles(memory: Memory, facts: HostFacts, accelerator: Accelerator) -> Iterator[Obstacle]:
    """Everything about this QEMU that keeps it from taking that memory."""
    if memory.accelerator != accelerator:
        yield Obstacle(
            f"it ran under {memory.accelerator}, and here it would under {accelerator}",
            facts.kvm_mend if memory.accelerator == "kvm" else "WORKSTATION_ACCEL=tcg emulates too",
        )
    if memory.machine_type not in facts.machine_types:
        mend = "install a QEMU that has it: one of the same distribution, or a newer one"
        yield Obstacle(f"this QEMU has no machine type {memory.machine_type}", mend)
    if memory.cpu_model not in facts.cpu_models | {"host", "max"}:
        yield Obstacle(f"this QEMU has no CPU model {memory.cpu_model}", "install a newer QEMU")
    if facts.qemu_version < memory.qemu_version:
        was, now = (".".join(map(str, v)) for v in (memory.qemu_version, facts.qemu_version))
        what = f"it was frozen by QEMU {was}, and this one is older: {now}"
        yield Obstacle(what, "install a newer QEMU")
    if lacking := sorted(set(memory.cpu_flags) - facts.cpu_flags):
        what = f"this CPU lacks what it uses: {', '.join(lacking[:8])}"
        yield Obstacle(what, "a machine that is to travel has another cpu.model than host and max")


def check_resume(name: str, memory: Memory, facts: HostFacts, accelerator: Accelerator) -> None:
    """Raise HostError, with every reason, where this QEMU cannot take that memory."""
    reasons = [obstacle.what for obstacle in obstacles(memory, facts, accelerator)]
    if reasons:
        raise HostError(
            f"“{name}” cannot go on from its memory: {'; '.join(reasons)}",
            hint=_cold(name),
        )


def _cold(name: str) -> str:
    return f"boot its disks of that moment instead: workstation start {name} --cold"


def forget_memory(machine: Machine) -> None:
    """From now on the machine starts cold: the guest is about to go on, and its disks with it."""
    history = heads.read_history(machine.paths)
    if not history.head.resume:
        return
    head = history.head.model_copy(update={"resume": "", "memory": None, "network_off": False})
    heads.write_history(machine.paths, history.model_copy(update={"head": head}))
    (machine.paths.head(head.id) / heads.MEMORY).unlink(missing_ok=True)


async def go_on(machine: Machine, monitor: Monitor) -> None:
    """Let the guest run; if that is a resume, its memory is forgotten first."""
    forget_memory(machine)
    await monitor.execute("cont")


async def plug(machine: Machine, monitor: Monitor, *, up: bool) -> None:
    """Plug the guest's network cables in, or pull them out."""
    profile = in_force(machine)
    networks = profile.networks if profile else ()
    for number in range(len(networks)):
        await monitor.execute("set_link", name=f"net{number}-device", up=up)


async def _let_go_of_memory(monitor: Monitor) -> None:
    """What it lies in may be on a stick that somebody wants to pull."""
    with suppress(MonitorError):
        await monitor.take_back()


async def finish_resume(machine: Machine, monitor: Monitor) -> None:
    """Once QEMU has its memory: the guest goes on, unplugged if it must be."""
    await loaded(monitor)
    head = heads.read_history(machine.paths).head
    if head.network_off:
        await plug(machine, monitor, up=False)
        machine.log(
            "it is a copy, with the same names and addresses inside: its network is off;"
            f" workstation network {machine.name} on plugs it in",
            Severity.WARNING,
        )
    await go_on(machine, monitor)
    machine.errand(_let_go_of_memory(monitor))
    machine.errand(set_clock(machine, monitor))
    machine.errand(mount_again(machine))
    machine.poke()
    await machine.until(lambda view: view.state is not State.STARTING)

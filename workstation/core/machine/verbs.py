"""What is done to one machine: each verb guarded by its state, most under the machine's lock."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import replace

from workstation.core import atomic
from workstation.core.host import usb
from workstation.core.inplace.pulled import check_start
from workstation.core.inplace.repoint import plugged_again
from workstation.core.layers.fitting import fit, known_drives
from workstation.core.layers.mend import Pending, mend, moving
from workstation.core.layers.resume import finish_resume, forget_memory, go_on, open_memory, plug
from workstation.core.layers.store import Store
from workstation.core.library import library
from workstation.core.machine import run
from workstation.core.machine.create import bootable
from workstation.core.machine.helpers import start_helpers
from workstation.core.machine.in_force import as_it_slept, plain
from workstation.core.machine.lock import MachineLock
from workstation.core.machine.machine import Machine
from workstation.core.machine.prepare import begin_log, handed_down, prepared
from workstation.core.provision import firstboot
from workstation.errors import InvalidError, LaunchError, MonitorError, NotAllowedError
from workstation.model.events import Severity
from workstation.model.host import HostFacts
from workstation.model.machine import Definition, MachineView, State, Verb, require
from workstation.model.settings import Timeouts
from workstation.model.usb import kind_of
from workstation.paths import Paths
from workstation.profile.dump import dump_definition
from workstation.qemu import process
from workstation.qemu.accel import Choice
from workstation.qemu.argv import Launch, command_line
from workstation.qemu.monitor import Monitor
from workstation.qemu.procfs import read_exit, read_pair


@contextmanager
def holding(machine: Machine, verb: Verb, front_end: str) -> Iterator[MachineLock]:
    """The machine's lock, with the state checked under it; the view says so meanwhile."""
    try:
        with MachineLock(machine.paths, verb, front_end) as lock:
            # What counts is QEMU itself: the view now says “starting” or “stopping” for our lock.
            require(verb, machine.name, State.RUNNING if machine.pair() else State.OFF)
            machine.look()
            yield lock
    finally:
        machine.look()


# -- start ------------------------------------------------------------------


async def start(
    paths: Paths,
    machine: Machine,
    facts: HostFacts,
    choice: Choice,
    front_end: str,
    *,
    cold: bool = False,
) -> None:
    """Start QEMU; returns when it answers. Raises LaunchError with QEMU's own words.

    A frozen machine goes on where it was; `cold` boots its disks of that moment instead.
    """
    store = Store(paths)
    await machine.undisturbed()
    with holding(machine, Verb.START, front_end) as lock:
        await mend(machine, store)
        if machine.view.unfinished:
            await asyncio.to_thread(firstboot.at_rest, machine)
            machine.look()
        definition = _sound(machine)
        check_start(paths, machine.name, definition.profile)
        if kinds := list(map(kind_of, definition.profile.usb)):
            for words in await asyncio.to_thread(usb.at_start, kinds):
                machine.log(words, Severity.WARNING)
        if cold:
            forget_memory(machine)
        with open_memory(machine, store, facts, choice.accelerator) as memory:
            resuming = memory is not None
            async with moving(machine, store, Pending(running=True)) if resuming else nullcontext():
                if resuming:
                    definition = as_it_slept(machine, definition)
                else:
                    wanted = bootable(definition.profile, facts)
                    if wanted != definition.profile:
                        definition = definition.model_copy(update={"profile": wanted})
                        await _adapt(machine, definition)
                    known = known_drives(machine.paths, wanted)
                    await fit(machine.paths, store, facts, wanted, known)
                with prepared(
                    paths, machine.paths, definition, facts, choice.accelerator, store
                ) as launch:
                    launch = replace(launch, incoming=memory)
                    await asyncio.to_thread(_launch, launch, choice, lock.descriptor)
                synced = asyncio.to_thread(run.sync, machine.paths)
                await asyncio.gather(_answering(machine), synced)
                if resuming and machine.monitor:
                    await _resumed(machine, machine.monitor)


async def _resumed(machine: Machine, monitor: Monitor) -> None:
    """Its guest goes on. Of a QEMU that could not take the memory nothing is left at the raise,
    which has QEMU's own words then."""
    try:
        await finish_resume(machine, monitor)
    except MonitorError as error:
        if await _gone(machine, 5) and read_exit(machine.paths) != 0:
            raise launch_error(machine) from error
        raise


def _sound(machine: Machine) -> Definition:
    if machine.view.problem or not machine.definition:
        raise InvalidError(
            f"the file of “{machine.name}” has problems",
            hint=f"workstation edit {machine.name}",
            details=machine.view.problem,
        )
    return machine.definition


async def _adapt(machine: Machine, definition: Definition) -> None:
    """What comes from another computer boots here: its disks are the same."""
    before = machine.definition.profile.machine.type if machine.definition else ""
    text = dump_definition(definition, machine.name)
    await asyncio.to_thread(atomic.write, machine.paths.file, text)
    types = f"{before}: it boots as {definition.profile.machine.type}"
    machine.log(f"this QEMU has no machine type {types}", Severity.WARNING)


def _launch(launch: Launch, choice: Choice, lock: int) -> None:
    """Everything from the helpers to QEMU's process; its record is there before it is."""
    start_helpers(launch)
    with handed_down(launch) as (launch, descriptors):
        argv = command_line(launch)
        run.clear(launch.paths)
        run.write(launch.paths, _record(launch, argv, choice), lasting=False)
        process.spawn(argv, launch.paths, descriptors, begin_log(launch), lock)


def _record(launch: Launch, argv: list[str], choice: Choice) -> run.Record:
    return run.Record(
        boot_id=run.boot_id(),
        started=time.time(),
        uuid=str(launch.definition.uuid),
        accelerator=choice.accelerator,
        accelerator_reason=choice.reason,
        qemu_version=".".join(map(str, launch.facts.qemu_version)),
        forwards=[[str(forward) for forward in network] for network in launch.forwards],
        argv=argv,
        profile=plain(launch.profile),
    )


async def _answering(machine: Machine) -> None:
    """Wait until the supervision has QEMU's first answer, or QEMU has ended instead."""
    machine.begun_here = True
    machine.poke()
    try:
        await machine.until(
            lambda view: machine.monitor is not None or bool(view.reason) or not machine.pair()
        )
    finally:
        machine.begun_here = False
    if machine.monitor is not None:
        return
    if not await _gone(machine, 5):
        raise LaunchError(
            f"QEMU was started for “{machine.name}”, and does not answer: {machine.view.reason}",
            hint=f"end it: workstation stop --force {machine.name}",
        )
    if read_exit(machine.paths) != 0:
        raise launch_error(machine)


_CAUSES = (
    (r"Could not set up host forwarding rule", "a host port of a forward is taken",
     "start it again, or change the forward: workstation edit {name}"),
    (r'Failed to get (shared )?"(write|consistent read)" lock', "another program uses its disk",
     "end the other program that has the disk open"),
    (r"[Cc]annot (set up|allocate) (guest )?memory|Cannot allocate memory",
     "the host has not enough memory", "stop another machine, or give this one less memory"),
    (r"Could not access KVM|failed to initialize kvm", "KVM does not work here",
     "workstation doctor says why; WORKSTATION_ACCEL=tcg goes without"),
    (r"unable to find CPU model", "this QEMU does not know the CPU model",
     "choose another cpu.model: workstation edit {name}"),
    (r"unsupported machine type", "this QEMU does not know the machine type",
     "choose another machine.type: workstation edit {name}"),
    (r"No such file or directory", "a file is missing", "put it back, or make the machine anew"),
    (r"No space left on device", "the host's disk is full", "make room, then start it again"),
)  # fmt: skip
"""QEMU's words, what they most likely mean, and what to do."""


def launch_error(machine: Machine) -> LaunchError:
    """Why QEMU did not start: its exit code, its own words and the likely cause."""
    words = log_tail(machine)
    status = read_exit(machine.paths)
    cause, hint = (
        "",
        f"workstation logs {machine.name} --qemu shows all it said, and how it was started",
    )
    for pattern, meaning, advice in _CAUSES:
        if re.search(pattern, words):
            cause, hint = f": {meaning}", advice.format(name=machine.name)
            break
    return LaunchError(
        f"QEMU did not start “{machine.name}” (exit code {status}){cause}",
        hint=hint,
        details=words,
    )


def log_tail(machine: Machine, size: int = 8192) -> str:
    """The end of what QEMU itself said, without the command line that comes before it."""
    try:
        data = machine.paths.qemu_log.read_bytes()
    except OSError:
        return ""
    return data.partition(b"\n")[2][-size:].decode(errors="replace").strip()


# -- stop -------------------------------------------------------------------


async def stop(machine: Machine, timeouts: Timeouts, front_end: str) -> None:
    """The ladder from soft to hard: power button, quit, SIGTERM, SIGKILL."""
    await machine.undisturbed()
    with holding(machine, Verb.STOP, front_end):
        if await _shut_down(machine, timeouts.power_button):
            return
        machine.log("the guest did not shut down in time: ending QEMU")
        await end(machine, timeouts, "stop")


async def kill(machine: Machine, timeouts: Timeouts) -> None:
    """End QEMU without asking the guest; its disks are flushed where QEMU still can.

    Takes no lock: it must be possible while another front-end waits for the guest to shut down.
    """
    require(Verb.KILL, machine.name, State.RUNNING if machine.pair() else machine.view.state)
    await end(machine, timeouts, "stop --force")


PRESS_SECONDS = 15.0
"""How often the button is pressed: a guest that was still booting did not notice it before."""


async def _shut_down(machine: Machine, seconds: float) -> bool:
    """Whether the guest went off by itself within that time."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while await _power_button(machine):
        left = end - clock()
        if await _gone(machine, min(left, PRESS_SECONDS)):
            return True
        if left <= PRESS_SECONDS:
            return False
    return False


async def _power_button(machine: Machine) -> bool:
    """Press it; False where the guest cannot notice, so that waiting would be in vain."""
    try:
        async with _monitor(machine) as monitor:
            if machine.view.panicked:
                return False
            # A paused guest notices nothing: it goes on first.
            await go_on(machine, monitor)
            await monitor.execute("system_powerdown")
    except MonitorError:
        return not machine.pair()
    return True


async def end(machine: Machine, timeouts: Timeouts, why: str) -> None:
    """From QMP `quit` to SIGKILL; `why` is remembered, so that it is no crash."""
    record = run.read(machine.paths)
    if record:
        with suppress(OSError):  # on a full disk it ends all the same
            run.write(machine.paths, record._replace(ended_by=why))
    with suppress(MonitorError):
        async with _monitor(machine) as monitor:
            await monitor.execute("quit")
    if await _gone(machine, timeouts.quit):
        return
    for number, seconds in ((signal.SIGTERM, timeouts.terminate), (signal.SIGKILL, 30.0)):
        pair = machine.pair()
        if pair:
            process.send(pair.qemu, number)
        if await _gone(machine, seconds):
            return
    raise NotAllowedError(
        f"the QEMU of “{machine.name}” cannot be ended", hint="it hangs in the kernel: see dmesg"
    )


async def _gone(machine: Machine, seconds: float) -> bool:
    """Whether QEMU has ended, and its witness too, within that time."""
    pair = read_pair(machine.paths)
    if not pair:
        return True
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await process.pair_ended(pair)
            machine.look()
            return True
    return False


# -- while it runs ------------------------------------------------------------


@asynccontextmanager
async def _monitor(machine: Machine) -> AsyncIterator[Monitor]:
    """The supervision's monitor, as soon as it has one."""
    await machine.settled()
    if machine.monitor is None:
        reason = machine.view.reason or "it is not running"
        raise MonitorError(f"“{machine.name}” cannot be asked: {reason}")
    yield machine.monitor


def _require_running(machine: Machine, verb: Verb) -> None:
    if not machine.pair():
        require(verb, machine.name, machine.view.state)


async def pause(machine: Machine) -> None:
    await _switch(machine, Verb.PAUSE, "stop", lambda view: view.state is not State.RUNNING)


async def resume(machine: Machine, store: Store) -> None:
    forget_memory(machine)
    await plugged_again(machine, store)
    await _switch(machine, Verb.RESUME, "cont", lambda view: view.state is not State.PAUSED)


async def reset(machine: Machine) -> None:
    _require_running(machine, Verb.RESET)
    async with _monitor(machine) as monitor:
        require(Verb.RESET, machine.name, machine.view.state)
        await monitor.execute("system_reset")
        # After a panic QEMU stays paused: the button is to bring the guest back.
        await go_on(machine, monitor)


async def network(machine: Machine, *, up: bool) -> None:
    _require_running(machine, Verb.NETWORK)
    async with _monitor(machine) as monitor:
        await plug(machine, monitor, up=up)
    machine.log(f"network {'on' if up else 'off'}")


async def _switch(
    machine: Machine, verb: Verb, command: str, reached: Callable[[MachineView], bool]
) -> None:
    _require_running(machine, verb)
    async with _monitor(machine) as monitor:
        require(verb, machine.name, machine.view.state)
        await monitor.execute(command)
        machine.poke()
        async with asyncio.timeout(10):
            await machine.until(reached)


async def delete(paths: Paths, machine: Machine, front_end: str) -> None:
    await machine.undisturbed()
    with holding(machine, Verb.DELETE, front_end), library.deleting(paths):
        await asyncio.to_thread(library.remove, paths, machine.paths)

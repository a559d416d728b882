"""The verbs that change a machine's profile, as the front-ends call them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from workstation.core import atomic
from workstation.core.change.difference import difference, taken_over, value_at
from workstation.core.change.moves import Guest, Move, Words, keeps_hardware, move_of
from workstation.core.host.usb import UsbDevice, plugged_in
from workstation.core.inplace import pulled
from workstation.core.layers import heads
from workstation.core.layers.fitting import check_drives, fit
from workstation.core.layers.freeze import monitor_of
from workstation.core.layers.mend import mend
from workstation.core.machine import in_force, verbs
from workstation.core.machine.create import pin
from workstation.core.machine.machine import Machine
from workstation.core.making.supplies import references
from workstation.core.provision import seed
from workstation.errors import InvalidError, NotAllowedError, NotFoundError, UsageError
from workstation.model.change import Effect, When
from workstation.model.host import HostFacts
from workstation.model.machine import Verb
from workstation.model.profile import Bus, Forward, Profile
from workstation.model.text import safe_line
from workstation.model.usb import UsbText, kind_of
from workstation.profile.dump import dump_definition
from workstation.profile.keys import Path, dotted
from workstation.profile.overrides import apply_overrides

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation


class Changes:
    """Changes of the machines of a Workstation."""

    def __init__(self, station: "Workstation") -> None:
        self._station = station

    def check(self, name: str, settings: Sequence[str]) -> list[Effect]:
        """What each `key=value` would do, and when; nothing is done.

        Raises UsageError, ProfileError, NotAllowedError, or NotFoundError of an image where it
        could not be.
        """
        machine = self._station.machine(name)
        old = _profile(machine)
        new = self._changed(machine, old, settings)
        pulled.check_change(self._station.paths, name, old, new)
        return _effects(machine, old, _with_slots(machine, new))

    async def set(self, name: str, settings: Sequence[str]) -> list[Effect]:
        """Change the machine's profile, and its guest where that can be done while it runs.

        Where QEMU refuses one change, those before it stay, and the error is raised.
        """
        machine = self._station.machine(name)
        return await self._change(name, lambda old: self._changed(machine, old, settings))

    def _changed(self, machine: Machine, old: Profile, settings: Sequence[str]) -> Profile:
        new = apply_overrides(old, settings)
        if new.name != old.name:
            raise UsageError("a machine keeps its name", hint="clone it: workstation clone OLD NEW")
        check_drives(old, new)
        found = seed.read(machine.paths)
        if found and len(new.cdroms) <= found.cdrom < len(old.cdroms):
            raise NotAllowedError(
                f"CD drive {found.cdrom} has the disc that sets the system of “{machine.name}” up",
                hint=f"wait for that, or first: workstation setup {machine.name} --forget",
            )
        for ref in set(references(new)) - set(references(old)):
            self._station.images.resolve(ref)
        return new

    # -- forwards ---------------------------------------------------------------

    async def add_forward(self, name: str, text: str, network: int = 0) -> list[Effect]:
        """Open a port of this computer, `8080:80`, into the guest."""
        forward = _forward(text)

        def added(old: Profile) -> Profile:
            had = _forwards(name, old, network)
            if forward in had:
                raise UsageError(
                    f"“{name}” has the forward {forward} already",
                    hint="its forwards: " + ", ".join(map(str, had)),
                )
            return _with_forwards(old, network, (*had, forward))

        return await self._change(name, added)

    async def remove_forward(self, name: str, text: str) -> list[Effect]:
        """Close the port that a forward opened: as it was written, or as it is in force."""
        forward = _forward(text)

        def removed(old: Profile) -> Profile:
            network, number = self._find_forward(name, old, forward)
            had = old.networks[network].forwards
            return _with_forwards(old, network, (*had[:number], *had[number + 1 :]))

        return await self._change(name, removed)

    def _find_forward(self, name: str, old: Profile, forward: Forward) -> tuple[int, int]:
        """Which of the profile's it is: of which network, and where in its list."""
        in_use = self._station.view(name).forwards
        asked = [(n, m, one) for n, net in enumerate(old.networks)
                 for m, one in enumerate(net.forwards)]  # fmt: skip
        for place, (network, number, one) in enumerate(asked):
            got = in_use[place] if len(in_use) == len(asked) else one
            if forward in (one, got):
                return network, number
        known = ", ".join(str(one) for _, _, one in asked) or "none"
        raise NotFoundError(f"“{name}” has no forward {forward}", hint=f"its forwards: {known}")

    # -- USB ----------------------------------------------------------------------

    async def plugged_in(self) -> list[UsbDevice]:
        """The USB devices of this computer."""
        return await asyncio.to_thread(plugged_in)

    async def give_usb(self, name: str, kind: str) -> list[Effect]:
        """Hand a USB device of this computer, `VENDOR:PRODUCT`, to the guest."""
        kind = kind.lower()
        try:
            TypeAdapter(UsbText).validate_python(kind)
        except ValidationError as error:
            raise UsageError(
                f"“{kind}” is no USB device", hint="workstation usb list prints those there are"
            ) from error
        number = len(_profile(self._station.machine(name)).usb)
        return await self.set(name, [f"usb[{number}]={kind}"])

    async def take_usb(self, name: str, kind: str) -> list[Effect]:
        """Take it back."""

        def without(old: Profile) -> Profile:
            kept = tuple(one for one in old.usb if kind_of(one) != kind.lower())
            if kept == old.usb:
                known = ", ".join(map(kind_of, old.usb)) or "none"
                raise NotFoundError(f"“{name}” has no USB device {kind}", hint=f"it has: {known}")
            return old.model_copy(update={"usb": kept})

        return await self._change(name, without)

    # -- how ------------------------------------------------------------------------

    async def _change(self, name: str, change: "Change") -> list[Effect]:
        station, machine = self._station, self._station.machine(name)
        facts = await station.host_facts()
        await machine.settled()
        await machine.undisturbed()
        with verbs.holding(machine, Verb.EDIT, station.front_end):
            await mend(machine, station.layers.store)
            old = _profile(machine)
            new = pin(_with_slots(machine, change(old)), facts, old.name)
            pulled.check_change(station.paths, name, old, new)
            effects = _effects(machine, old, new)
            if machine.pair():
                await self._live(machine, old, new)
            else:
                await self._at_rest(machine, facts, old, new)
        return effects

    async def _live(self, machine: Machine, old: Profile, new: Profile) -> None:
        guest = Guest(machine, monitor_of(machine), self._station.images, new)
        done: list[Path] = []
        try:
            for path in difference(old, new):
                now = _in_force(machine)
                move = _possible(path, now, new)
                if move:
                    await move.carry_out(guest, now)
                    in_force.note(machine, move.after(now, new))
                done.append(path)
        finally:
            await _save(machine, taken_over(old, new, done))

    async def _at_rest(
        self, machine: Machine, facts: HostFacts, old: Profile, new: Profile
    ) -> None:
        head = heads.read_history(machine.paths).head
        await _save(machine, new)
        if not head.resume:
            store, known = self._station.layers.store, len(old.drives)
            await fit(machine.paths, store, facts, new, known)
        elif head.resume == "head":
            slept = _in_force(machine)
            in_force.note(machine, taken_over(slept, new, difference(old, new)))


Change = Callable[[Profile], Profile]


def _profile(machine: Machine) -> Profile:
    if not machine.definition or machine.view.problem:
        raise InvalidError(
            f"the file of “{machine.name}” has problems",
            hint=f"workstation edit {machine.name}",
            details=machine.view.problem,
        )
    return machine.definition.profile


def _in_force(machine: Machine) -> Profile:
    return in_force.in_force(machine) or _profile(machine)


async def _save(machine: Machine, profile: Profile) -> None:
    if machine.definition and machine.definition.profile != profile:
        changed = machine.definition.model_copy(update={"profile": profile})
        text = dump_definition(changed, machine.name)
        await asyncio.to_thread(atomic.write, machine.paths.file, text)
        machine.look()


def _with_slots(machine: Machine, new: Profile) -> Profile:
    """Disks that are added while the guest runs get a slot, as far as there are free ones."""
    if not machine.pair():
        return new
    now = _in_force(machine)
    used = {drive.slot for drive in (*now.drives, *new.drives)}
    slots = 0 if now.machine.chipset == "microvm" else now.machine.slots
    free = [slot for slot in range(slots) if slot not in used]
    drives = list(new.drives)
    for number in range(len(now.drives), len(drives)):
        if free and drives[number].bus is Bus.VIRTIO and drives[number].slot is None:
            drives[number] = drives[number].model_copy(update={"slot": free.pop(0)})
    return new.model_copy(update={"drives": tuple(drives)})


# -- what it does, and when ---------------------------------------------------------


def _effects(machine: Machine, old: Profile, new: Profile) -> list[Effect]:
    paths = difference(old, new)
    if not machine.pair() and heads.read_history(machine.paths).head.resume:
        _refuse_other_hardware(machine, paths, new)
    effects, now = [], _in_force(machine)
    for path in paths:
        effects.append(_effect(path, now if machine.pair() else None, new))
        move = _possible(path, now, new)
        now = move.after(now, new) if move else now
    return effects


def _refuse_other_hardware(machine: Machine, paths: list[Path], new: Profile) -> None:
    """Its memory was saved with the hardware that it has."""
    for path in paths:
        if not keeps_hardware(path, move_of(path)):
            raise NotAllowedError(
                f"“{machine.name}” goes on from its memory, which was saved with another"
                f" {dotted(path)}",
                hint=f"let it go on first: workstation start {machine.name}",
            )


def _effect(path: Path, now: Profile | None, new: Profile) -> Effect:
    """`now` is what a running guest has; None where none runs."""
    key, value, move = dotted(path), value_at(new, path), move_of(path)
    if isinstance(move, Words):
        return Effect(key, value, When.NOW)
    if not now:
        return Effect(key, value, When.NEXT)
    obstacle = move.obstacle(now, new) if move else ""
    if not move or obstacle:
        return Effect(key, value, When.NEXT, obstacle)
    return Effect(key, value, move.when, move.note(now, new))


def _possible(path: Path, now: Profile, new: Profile) -> Move | None:
    """How that key takes effect now; None where it waits for the next start."""
    move = move_of(path)
    return move if move and not move.obstacle(now, new) else None


# -- forwards -------------------------------------------------------------------------


def _forward(text: str) -> Forward:
    try:
        return Forward.model_validate(text)
    except ValidationError as error:
        words = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UsageError(f"“{safe_line(text, limit=60)}” is no forward", hint=words) from error


def _forwards(name: str, old: Profile, network: int) -> tuple[Forward, ...]:
    if network >= len(old.networks):
        raise UsageError(
            f"“{name}” has no network adapter {network}",
            hint=f"it has {len(old.networks)}, counted from 0",
        )
    return old.networks[network].forwards


def _with_forwards(old: Profile, network: int, forwards: tuple[Forward, ...]) -> Profile:
    """Checked as a profile is: two of one host port, a network that forwards nothing."""
    texts = ", ".join(f'"{forward}"' for forward in forwards)
    return apply_overrides(old, [f"networks[{network}].forwards=[{texts}]"])

"""What can be changed under a running guest: a class each, with when it can be and how."""

from dataclasses import dataclass
from typing import ClassVar

from workstation.core.change.difference import taken_over
from workstation.core.host import usb
from workstation.core.images import Images
from workstation.core.layers import heads
from workstation.core.machine import run
from workstation.core.machine.forwards import placed
from workstation.core.machine.machine import Machine
from workstation.errors import NotAllowedError
from workstation.model.change import When
from workstation.model.events import Severity
from workstation.model.profile import Bus, Forward, Profile
from workstation.model.units import format_size
from workstation.model.usb import in_ports, kind_of, port_of
from workstation.profile.keys import Path
from workstation.qemu import plugging
from workstation.qemu.monitor import Monitor


@dataclass(frozen=True, slots=True)
class Guest:
    """A running guest, and what it is to become."""

    machine: Machine
    monitor: Monitor
    images: Images
    wanted: Profile


class Move:
    """Base: one key that takes effect at once. `now` is the hardware in force."""

    when: ClassVar[When] = When.NOW
    host_only: ClassVar[bool] = False
    """Whether the guest's hardware stays the same, so that its memory still goes on in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def number(self) -> int:
        """Of the entry of a list that the key is of."""
        return int(self.path[1])

    def obstacle(self, now: Profile, new: Profile) -> str:
        """Why it has to wait for the next start; empty where it has not."""
        return ""

    def note(self, now: Profile, new: Profile) -> str:
        """What else is to be said of it."""
        return ""

    async def carry_out(self, guest: Guest, now: Profile) -> None:
        """Do it; raises a WorkstationError where QEMU refuses, and then nothing has changed."""

    def after(self, now: Profile, new: Profile) -> Profile:
        """The hardware in force when it is done."""
        return taken_over(now, new, [self.path])


class Words(Move):
    """Nothing in QEMU."""

    host_only = True


class Forwards(Move):
    """Ports of this computer, opened and closed."""

    host_only = True

    def obstacle(self, now: Profile, new: Profile) -> str:
        if self.number >= len(now.networks):
            return "the adapter itself comes then"
        mode = now.networks[self.number].mode
        return "" if mode == "user" else f"a network of mode {mode} takes its forwards at its start"

    async def carry_out(self, guest: Guest, now: Profile) -> None:
        record = run.read(guest.machine.paths)
        if not record:
            raise NotAllowedError(f"“{guest.machine.name}” does not run")
        wanted = guest.wanted.networks[self.number].forwards
        open_now = dict(zip(now.networks[self.number].forwards, self._got(record), strict=True))
        closed = {one: got for one, got in open_now.items() if one not in wanted}
        for got in closed.values():
            await plugging.close_forward(guest.monitor, self._device, got)
        kept = {one: got for one, got in open_now.items() if one in wanted}
        try:
            for forward in wanted:
                if forward not in kept:
                    kept[forward] = await self._open(guest, forward)
        except BaseException:
            await self._as_before(guest, open_now, kept)
            raise
        record.forwards[self.number] = [str(kept[forward]) for forward in wanted]
        run.write(guest.machine.paths, record)

    @property
    def _device(self) -> str:
        return f"net{self.number}"

    def _got(self, record: run.Record) -> list[Forward]:
        return [Forward.model_validate(text) for text in record.forwards[self.number]]

    async def _open(self, guest: Guest, forward: Forward) -> Forward:
        # What QEMU has open is not free: nobody has to tell which ports those are.
        got = placed(forward, set())
        await plugging.open_forward(guest.monitor, self._device, got)
        if got.host != forward.host:
            words = f"host port {forward.host} was taken: {got} instead"
            guest.machine.log(words, Severity.WARNING)
        return got

    async def _as_before(
        self, guest: Guest, before: dict[Forward, Forward], after: dict[Forward, Forward]
    ) -> None:
        for forward in after.keys() - before.keys():
            await plugging.close_forward(guest.monitor, self._device, after[forward])
        for forward in before.keys() - after.keys():
            await plugging.open_forward(guest.monitor, self._device, before[forward])


class Disc(Move):
    """The disc in a CD drive."""

    host_only = True

    def obstacle(self, now: Profile, new: Profile) -> str:
        return "" if self.number < len(now.cdroms) else "the CD drive itself comes then"

    async def carry_out(self, guest: Guest, now: Profile) -> None:
        image = guest.wanted.cdroms[self.number].image
        disc = guest.images.resolve(image) if image else None
        try:
            await plugging.change_disc(guest.monitor, self.number, disc)
        except plugging.TrayLockedError as error:
            raise NotAllowedError(
                f"the guest of “{guest.machine.name}” holds the disc in CD drive {self.number}",
                hint="unmount it in the guest (umount, or eject), then do it again",
            ) from error


class NewDisk(Move):
    """A blank disk in a free slot."""

    def obstacle(self, now: Profile, new: Profile) -> str:
        if self.number >= len(new.drives):
            return "a disk is taken out while the machine is off"
        drive = new.drives[self.number]
        if drive.bus is not Bus.VIRTIO:
            return f"a {drive.bus} disk cannot be plugged in while it runs; virtio can"
        if drive.slot is None:
            return _no_slot(now)
        return "" if self.number == len(now.drives) else "a disk before it comes then"

    async def carry_out(self, guest: Guest, now: Profile) -> None:
        paths, number = guest.machine.paths, self.number
        head, name = heads.read_history(paths).head.id, f"drive{number}"
        file = paths.overlay(head, name)
        if not file.exists():
            await heads.add_overlay(paths, head, name, guest.wanted.drives[number].size or 0)
        await plugging.add_disk(guest.monitor, guest.wanted, number, file)


def _no_slot(now: Profile) -> str:
    if now.machine.chipset == "microvm":
        return "nothing can be plugged into a microvm while it runs"
    return f"all {now.machine.slots} slots are taken: machine.slots says how many there are"


class Grow(Move):
    """A disk that exists becomes larger."""

    def obstacle(self, now: Profile, new: Profile) -> str:
        return "" if self.number < len(now.drives) else "the disk itself comes then"

    def note(self, now: Profile, new: Profile) -> str:
        return "the guest has to grow its file system"

    async def carry_out(self, guest: Guest, now: Profile) -> None:
        size = guest.wanted.drives[self.number].size
        if size:
            await plugging.grow_disk(guest.monitor, f"drive{self.number}", size)


class Memory(Move):
    """Less of it: asked of the guest by the balloon; the machine's own size changes later."""

    when = When.BOTH

    def obstacle(self, now: Profile, new: Profile) -> str:
        if new.memory > now.memory:
            return f"it was started with {format_size(now.memory)}, and can be given less"
        return "" if now.devices.balloon else "it has no balloon: devices.balloon"

    def note(self, now: Profile, new: Profile) -> str:
        return "its balloon asks the guest to do with that"

    async def carry_out(self, guest: Guest, now: Profile) -> None:
        await guest.monitor.execute("balloon", value=guest.wanted.memory)

    def after(self, now: Profile, new: Profile) -> Profile:
        return now  # what QEMU was given stays


class Cores(Move):
    """More CPUs, up to `cpu.most`."""

    def obstacle(self, now: Profile, new: Profile) -> str:
        if now.cpu.most is None:
            return "cpu.most was not set when it was started: it says how many there may be"
        if new.cpu.cores > now.cpu.most:
            return f"it was started with cpu.most = {now.cpu.most}"
        return "" if new.cpu.cores > now.cpu.cores else "a CPU cannot be taken out while it runs"

    def note(self, now: Profile, new: Profile) -> str:
        return "a Linux guest may have to switch it on: /sys/devices/system/cpu/cpuN/online"

    async def carry_out(self, guest: Guest, now: Profile) -> None:
        await plugging.add_cpus(guest.monitor, guest.wanted.cpu.cores - now.cpu.cores)


class Usb(Move):
    """USB devices of this computer."""

    def obstacle(self, now: Profile, new: Profile) -> str:
        if not (now.devices.usb_tablet or now.usb):
            return "it was started without a USB controller"
        free = all(map(port_of, self.after(now, new).usb))
        return "" if free else "all ports of its USB controller are taken"

    def note(self, now: Profile, new: Profile) -> str:
        here, wanted = map(kind_of, now.usb), map(kind_of, new.usb)
        added = sorted(set(wanted) - set(here))
        return "; ".join(filter(None, map(usb.check_usable, added)))

    async def carry_out(self, guest: Guest, now: Profile) -> None:
        new = self.after(now, guest.wanted).usb
        self.note(now, guest.wanted)  # raises where one is closed to this user
        for one in now.usb:
            if one not in new:
                await plugging.take_usb(guest.monitor, one)
        for one in new:
            if one not in now.usb:
                await plugging.give_usb(guest.monitor, one)

    def after(self, now: Profile, new: Profile) -> Profile:
        sits = in_ports(new.usb, tablet=now.devices.usb_tablet, now=now.usb)
        return now.model_copy(update={"usb": sits})


def move_of(path: Path) -> Move | None:
    """How that key takes effect under a running guest; None where it waits for the next start."""
    match path:
        case ("description" | "family" | "tags" | "notes" | "ready", *_):
            return Words(path)
        case ("devices", "keyboard"):
            return Words(path)
        case ("networks", int(), "forwards"):
            return Forwards(path)
        case ("cdroms", int(), "image"):
            return Disc(path)
        case ("drives", int()):
            return NewDisk(path)
        case ("drives", int(), "size"):
            return Grow(path)
        case ("memory",):
            return Memory(path)
        case ("cpu", "cores"):
            return Cores(path)
        case ("usb",):
            return Usb(path)
    return None


def keeps_hardware(path: Path, move: Move | None) -> bool:
    """Whether the memory of a frozen guest still goes on after that change."""
    if move:
        return move.host_only
    return bool(path[0] == "networks" and path[-1] in ("mode", "name", "restrict"))

"""The verbs on layers, as the front-ends call them."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from workstation.core.guest import hosts
from workstation.core.guest.shares import put_away
from workstation.core.layers import digests, freeze, heads, moves
from workstation.core.layers.check import Checked, check
from workstation.core.layers.collect import collect, collect_quietly
from workstation.core.layers.compact import compact
from workstation.core.layers.mend import Pending, mend, moving
from workstation.core.layers.squash import squash
from workstation.core.layers.store import Store
from workstation.core.library import library, names
from workstation.core.machine import verbs
from workstation.errors import NotAllowedError, NotFoundError, UsageError, WorkstationError
from workstation.model.events import Severity
from workstation.model.layer import Entry, History, Layer, oldest_first
from workstation.model.machine import Verb
from workstation.model.units import format_size

if TYPE_CHECKING:
    from workstation.core.activities import Progress
    from workstation.core.workstation import Workstation

DISCARDED_AT_LEAST = 2**20
"""Bytes written since the last snapshot that are worth a question before they are thrown away."""


class Layers:
    """What can be done with the layers of the machines of a Workstation."""

    def __init__(self, station: "Workstation") -> None:
        self._station = station
        self.store = Store(station.paths)

    # -- looking --------------------------------------------------------------

    def names_of(self, name: str) -> History:
        """The machine's head and its names for layers."""
        return heads.read_history(names.find(self._station.paths, name))

    def written(self, name: str) -> int:
        """Bytes written since the last snapshot: what a revert would throw away."""
        paths = names.find(self._station.paths, name)
        head = heads.read_history(paths).head.id
        return 0 if heads.is_blank(paths, head) else heads.written(paths, head)

    def history(self, name: str) -> list[Entry]:
        """Every layer that the machine's names and its head lead to, the oldest first."""
        mine = self.names_of(name)
        others = {
            layer
            for other in names.names(self._station.paths)
            if other != name
            for layer in self.store.reachable(heads.roots(self.names_of(other)))
        }
        layers = [self.store.read(layer) for layer in self.store.reachable(heads.roots(mine))]
        return [self._entry(layer, mine, others) for layer in oldest_first(layers)]

    def _entry(self, layer: Layer, mine: History, others: set[str]) -> Entry:
        tags = tuple(tag for tag, one in mine.snapshots.items() if one == layer.id)
        return Entry(
            layer=layer.id,
            parent=layer.parent,
            tags=tags,
            created=layer.created,
            note=layer.note,
            own=self.store.size(layer.id),
            shared=layer.id in others,
            memory=layer.memory is not None,
            picture=self.store.directory(layer.id) / layer.picture if layer.picture else None,
            golden=mine.golden in tags if mine.golden else False,
            head=mine.head.layer == layer.id,
        )

    # -- snapshot, suspend ------------------------------------------------------

    async def snapshot(self, name: str, tag: str, *, note: str = "", memory: bool = True) -> Layer:
        """Freeze the machine as it is now; a running guest goes on."""
        moves.check_new_tag(name, self.names_of(name), tag)
        moves.check_note(note)
        wish = freeze.Wish(tag, note, memory)
        layer = await self._freeze(name, wish, f"snapshot {name} {tag}")
        await self._station.digest()
        return layer

    async def _freeze(self, name: str, wish: freeze.Wish, title: str) -> Layer:
        station, machine = self._station, self._station.machine(name)
        await machine.settled()
        await machine.undisturbed()
        with (
            station.working(title, unit="B") as progress,
            verbs.holding(machine, Verb.SNAPSHOT, station.front_end),
        ):
            await mend(machine, self.store)
            if wish.tag:
                moves.check_new_tag(name, self.names_of(name), wish.tag)
            if machine.pair():
                told = _told(progress)
                async with put_away(machine) if wish.memory else nullcontext():
                    layer = await freeze.freeze_live(machine, self.store, wish, told)
            else:
                layer = await freeze.freeze_at_rest(machine, self.store, wish)
        self._warn_of_length(name, layer)
        return layer

    def _warn_of_length(self, name: str, layer: Layer) -> None:
        length, most = len(self.store.chain(layer.id)), self._station.settings.longest_chain
        if length > most:
            self._station.machine(name).log(
                f"it stands on {length} layers, and more than {most} slow its disks down:"
                f" workstation squash {name} TAG makes it one less",
                Severity.WARNING,
            )

    async def suspend(self, name: str) -> None:
        """Memory into the head, process gone: the machine is frozen, and start goes on."""
        station, machine = self._station, self._station.machine(name)
        await machine.settled()
        await machine.undisturbed()
        with (
            station.working(f"suspend {name}", unit="B") as progress,
            verbs.holding(machine, Verb.SUSPEND, station.front_end),
        ):
            await mend(machine, self.store)
            monitor = freeze.monitor_of(machine)
            running = await freeze.is_running(monitor)
            async with (
                put_away(machine),
                moving(machine, self.store, Pending(running=running)),
            ):
                await moves.suspend(machine, monitor, _told(progress))
                await verbs.end(machine, station.settings.timeouts, "suspend")

    # -- going back -------------------------------------------------------------

    async def revert(self, name: str, tag: str, *, discard: bool = False) -> None:
        """Throw the head away and go on from the snapshot.

        Raises UsageError, with the amount, where that loses work and `discard` is not said.
        """
        moves.find_layer(name, self.store, self.names_of(name), tag)
        if not discard:
            self.refuse_loss(name, f"workstation revert {name} {tag} --discard")
        await self._go_back(name, tag, f"revert {name} to {tag}")

    def refuse_loss(self, name: str, again: str) -> None:
        """Raise UsageError, with the amount, where leaving its head loses work.

        `again` is the command that loses it.
        """
        lost = self.written(name)
        if lost >= DISCARDED_AT_LEAST:
            raise UsageError(
                f"{format_size(lost)} written since the last snapshot of “{name}” would be lost",
                hint=f"keep it first: workstation snapshot {name} TAG; or lose it: {again}",
            )

    async def _go_back(self, name: str, tag: str, title: str) -> None:
        station, machine = self._station, self._station.machine(name)

        async def end() -> None:
            if machine.pair():
                await verbs.end(machine, station.settings.timeouts, "revert")

        with station.working(title, cancellable=False):
            await machine.undisturbed()
            with verbs.holding(machine, Verb.REVERT, station.front_end):
                await mend(machine, self.store)
                await moves.revert(machine, self.store, tag, end)
            await station.start(name, force=True)
        await asyncio.to_thread(collect_quietly, station.paths, self.store)

    async def reset_demo(self, name: str) -> None:
        """Back to the golden moment, from any state; what came after it is thrown away."""
        golden = self.names_of(name).golden
        if not golden:
            raise UsageError(
                f"“{name}” has no golden snapshot", hint=f"make one: workstation golden {name}"
            )
        await self._go_back(name, golden, f"reset {name} to {golden}")

    async def set_golden(self, name: str, tag: str = "") -> str:
        """Mark a snapshot as golden, or take one of now and mark that; returns its name."""
        if not tag:
            tag = heads.fresh_tag("golden", self.names_of(name))
            await self.snapshot(name, tag, note="golden moment")
        self._rename(name, lambda history: _golden(name, history, tag))
        return tag

    # -- branch -----------------------------------------------------------------

    async def clone(self, name: str, new: str, *, at: str = "", full: bool = False) -> None:
        """A new machine on the same layer; from now, its present state is frozen first.

        A `full` one shares no layer: every drive is copied, and it boots cold.
        """
        station = self._station
        library.check_new_name(station.paths, new)
        facts = await station.host_facts()
        if at:
            layer = moves.find_layer(name, self.store, self.names_of(name), at)
        else:
            layer = await self.present(name, f"where {new} branches off", memory=not full)
        with station.working(f"clone {name} {new}", unit="B" if full else "") as progress:
            tag = at if at in self.names_of(name).snapshots else "start"
            copying = _told(progress) if full else None
            await moves.clone(
                station.paths, self.store, facts, layer, new, tag=tag, copying=copying
            )
        await station.digest()
        await asyncio.to_thread(hosts.hand_on, station.paths, name, new)
        if station.view(name).unfinished:
            station.machine(new).log(hosts.not_set_up(name), Severity.WARNING)
        station.machine(new)

    async def present(self, name: str, note: str, *, memory: bool) -> Layer:
        """A layer of the machine as it is: the one it stands on, if nothing was written since.

        Otherwise it is frozen into one that has that note and no name. Whoever asks sees to its
        digests (`Workstation.digest`), when the disk is free for it.
        """
        machine = self._station.machine(name)
        head = self.names_of(name).head
        if not machine.pair() and head.layer and heads.is_blank(machine.paths, head.id):
            return self.store.read(head.layer)
        return await self._freeze(name, freeze.Wish("", note, memory), f"freeze {name}")

    # -- names ------------------------------------------------------------------

    def rename(self, name: str, old: str, new: str) -> None:
        """Give a snapshot another name."""

        def renamed(history: History) -> History:
            moves.find_tag(name, history, old)
            moves.check_new_tag(name, history, new)
            snapshots = {new if tag == old else tag: one for tag, one in history.snapshots.items()}
            golden = new if history.golden == old else history.golden
            return history.model_copy(update={"snapshots": snapshots, "golden": golden})

        self._rename(name, renamed)

    async def forget(self, name: str, tag: str) -> int:
        """Delete a snapshot's name, and the layers that nothing stands on; returns bytes freed."""

        def without(history: History) -> History:
            moves.find_tag(name, history, tag)
            snapshots = {one: layer for one, layer in history.snapshots.items() if one != tag}
            golden = "" if history.golden == tag else history.golden
            return history.model_copy(update={"snapshots": snapshots, "golden": golden})

        station = self._station
        title = f"delete {name} {tag}"
        with station.working(title, cancellable=False), library.deleting(station.paths):
            self._rename(name, without)
            return await asyncio.to_thread(self.collect)

    def _rename(self, name: str, change: Callable[[History], History]) -> None:
        machine = self._station.machine(name)
        with verbs.holding(machine, Verb.EDIT, self._station.front_end):
            heads.write_history(machine.paths, change(heads.read_history(machine.paths)))

    async def squash(self, name: str, tag: str) -> None:
        """Merge a snapshot into what stands on it: the name goes, the content stays.

        Raises NotAllowedError where another machine stands on it too.
        """
        station, machine = self._station, self._station.machine(name)
        facts = await station.host_facts()
        await machine.settled()
        await machine.undisturbed()
        with (
            station.working(f"squash {name} {tag}", unit="B") as progress,
            verbs.holding(machine, Verb.SQUASH, station.front_end),
        ):
            await mend(machine, self.store)
            layer = moves.find_layer(name, self.store, self.names_of(name), tag)
            self._only_mine(name, layer)
            await squash(machine, self.store, facts, layer, _told(progress))
        await asyncio.to_thread(collect_quietly, station.paths, self.store)

    def _only_mine(self, name: str, layer: Layer) -> None:
        for other in names.names(self._station.paths):
            if other == name:
                continue
            if layer.id in self.store.reachable(heads.roots(self.names_of(other))):
                raise NotAllowedError(
                    f"“{other}” stands on that layer too", hint=f"delete “{other}” first"
                )

    async def compact(self, name: str) -> int:
        """Give back what a machine that is off does not need; returns bytes freed."""
        station, machine = self._station, self._station.machine(name)
        facts = await station.host_facts()
        await machine.undisturbed()
        with (
            station.working(f"compact {name}") as progress,
            verbs.holding(machine, Verb.COMPACT, station.front_end),
        ):
            await mend(machine, self.store)
            return await compact(machine, self.store, facts, _told(progress))

    async def take_digests(self, *, largest: int | None = None) -> None:
        """Record the digests of layers that have none yet, up to `largest` bytes each."""
        for layer in self.store.ids():
            if self.store.digests(layer) or layer in self.store.being_digested:
                continue
            if largest and self.store.size(layer) > largest:
                continue
            with suppress(OSError, WorkstationError):  # collected meanwhile, or no room
                await asyncio.to_thread(digests.take, self.store, layer)

    async def check(self, *, repair: bool = False) -> list[Checked]:
        """Look whether every layer is whole; reads everything there is."""
        facts = await self._station.host_facts()
        with self._station.working("check the store") as progress:
            found = []
            async for one in check(self._station.paths, self.store, facts, repair=repair):
                found.append(one)
                progress(f"check the store: {one.subject}")
        return found

    # -- several at once ---------------------------------------------------------

    def group(self, tag: str) -> list[str]:
        """The machines whose profiles carry that tag; raises NotFoundError for none."""
        from workstation.core.library import index

        found = index.summaries(self._station.paths)
        members = [name for name, summary in found.items() if tag in summary["tags"]]
        if not members:
            raise NotFoundError(f"no machine carries the tag “{tag}”", hint="see: workstation list")
        return members

    async def snapshot_group(
        self, group: str, tag: str, *, note: str = "", memory: bool = True
    ) -> float:
        """Freeze every machine of a group together; returns how far apart their moments are.

        In seconds, from the first guest that stood still to the last one that did.
        """
        members = self.group(group)
        moves.check_note(note)
        for name in members:
            moves.check_new_tag(name, self.names_of(name), tag)
        meeting = freeze.Meeting(len(members))
        wish = freeze.Wish(tag, note, memory, meeting)
        async with asyncio.TaskGroup() as tasks:
            for name in members:
                tasks.create_task(self._freeze(name, wish, f"snapshot {name} {tag}"))
        await self._station.digest()
        return meeting.apart()

    async def revert_group(self, group: str, tag: str, *, discard: bool = False) -> None:
        """Bring every machine of a group back to the same snapshot."""
        members = self.group(group)
        for name in members:
            moves.find_tag(name, self.names_of(name), tag)
            if not discard:
                self.refuse_loss(name, f"workstation revert {name} {tag} --discard")
        for name in members:
            await self.revert(name, tag, discard=discard)

    # -- keeping ----------------------------------------------------------------

    def collect(self, *, dry_run: bool = False) -> int:
        """Delete the layers that no machine's history leads to; returns bytes freed.

        Nothing is deleted while a history, or a layer that is needed, cannot be read.
        """
        return collect(self._station.paths, self.store, dry_run=dry_run)


def _golden(name: str, history: History, tag: str) -> History:
    moves.find_tag(name, history, tag)
    return history.model_copy(update={"golden": tag})


def _told(progress: "Progress") -> freeze.Progress:
    return lambda done, total: progress("", done, total)

"""The verbs on other programs' formats, as the front-ends call them."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.errors import InvalidError

if TYPE_CHECKING:
    from workstation.core.foreign.adopt import Imported
    from workstation.core.foreign.look import Looked
    from workstation.core.foreign.recognise import Kind
    from workstation.core.foreign.send import Sent
    from workstation.core.workstation import Workstation


class Foreign:
    """What a Workstation can do with files of other programs."""

    def __init__(self, station: "Workstation") -> None:
        self._station = station

    def recognise(self, path: Path) -> "Kind":
        """What a file is, by its content; raises NotFoundError or InvalidError. Reads little."""
        from workstation.core.foreign.recognise import recognise

        return recognise(_place(path))

    def meant(self, path: Path) -> Path:
        """The bundle that is meant by a directory, or the file itself; see recognise.py."""
        from workstation.core.foreign.recognise import meant

        return meant(_place(path))

    async def adopt(self, path: Path, name: str = "") -> "Imported":
        """Make a machine of a disk image, an OVA, a disc or a description; see foreign.md.

        Without a name it gets the one that the file says, or a free one near it.
        """
        from workstation.core.foreign.adopt import adopt

        station = self._station
        facts = await station.host_facts()
        with station.working(f"import {path.name}", unit="B") as progress:
            try:
                made = await adopt(station.paths, facts, _place(path), name, progress)
            except InvalidError as error:
                error.hint = error.hint or "get it anew from where it came, or ask who made it"
                raise
        station.machine(made.name)
        await station.digest()
        return made

    async def look(self, path: Path) -> "Looked":
        """What an import would make of a file; nothing is made. A package is verified."""
        from workstation.core.foreign.look import look

        station = self._station
        facts = await station.host_facts()
        with station.working(f"read {path.name}", unit="B") as progress:

            def told(size: int) -> None:
                progress("", progress.activity.done + size)

            return await look(_place(path), facts.qemu_img, told)

    async def export(self, name: str, target: Path, kind: str, *, tag: str = "") -> "Sent":
        """Write a machine's disks, an OVA or a libvirt domain; `kind` is one of send.FORMATS.

        A machine that runs is frozen first, without its memory, and goes on meanwhile; with a
        `tag`, it is that snapshot which is written.
        """
        from workstation.core.foreign.landing import check_target
        from workstation.core.foreign.send import Sender
        from workstation.core.layers import moves

        station, layers, place = self._station, self._station.layers, _place(target)
        machine = station.machine(name)
        check_target(place)
        if not machine.definition:
            raise InvalidError(f"the file of “{name}” has problems", hint="edit it first")
        facts = await station.host_facts()
        left_behind = ["its snapshots"] if layers.names_of(name).snapshots else []
        if station.view(name).state.live and not tag:
            left_behind.append("its memory: the other program boots, as after a power cut")
        with layers.store.adding():
            if tag:
                layer = moves.find_layer(name, layers.store, layers.names_of(name), tag)
            else:
                layer = await layers.present(name, f"exported as {kind}", memory=False)
            with station.working(f"export {name}", unit="B") as progress:
                profile = layer.profile.model_copy(update={"name": name})
                definition = machine.definition.model_copy(update={"profile": profile})
                sender = Sender(station.paths, facts, definition, layer, progress)
                sent = await sender.send(place, kind)
        await station.digest()
        return replace(sent, dropped=(*left_behind, *sent.dropped))


def _place(path: Path) -> Path:
    return path.expanduser().absolute()

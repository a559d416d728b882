"""Layers without a store: histories in memory, for the screens."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workstation.core.layers.verbs import Layers
from workstation.model.events import MachineChanged
from workstation.model.layer import Entry, Head, History, Layer
from workstation.model.machine import MachineView, State, Verb
from workstation.model.profile import Profile

if TYPE_CHECKING:
    from tests.fakes.workstation import FakeWorkstation

NOW = 1_760_000_000.0
"""The fixed present of the tests: 2025-10-09 08:53:20 UTC."""


def screen_of_a_guest(directory: Path) -> Path:
    """A picture as QEMU takes it: text on black, and a coloured bar."""
    file = directory / "screen.ppm"
    width, height = 320, 200
    rows = []
    for y in range(height):
        row = bytearray(3 * width)
        if y < 24:
            row[:] = b"\x2a\x5d\x8f" * width
        elif y // 8 % 2 and y < 150:
            for x in range(8, 40 + (y * 37 // 8) % 240, 2):
                row[3 * x : 3 * x + 3] = b"\xd0\xd0\xd0" if x % 10 else b"\x00\x00\x00"
        rows.append(bytes(row))
    file.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + b"".join(rows))
    return file


class FakeLayers(Layers):
    """Histories in memory: `pasts[name]` holds a machine's layers, oldest first."""

    def __init__(self, station: "FakeWorkstation") -> None:
        self._fake = station
        self.pasts: dict[str, list[Entry]] = {}
        self.unsaved: dict[str, int] = {}

    # -- looking ------------------------------------------------------------

    def history(self, name: str) -> list[Entry]:
        if error := self._fake.fails.get("history"):
            raise error
        return list(self.pasts.get(name, ()))

    def written(self, name: str) -> int:
        return self.unsaved.get(name, 0)

    def names_of(self, name: str) -> History:
        entries = self.pasts.get(name, ())
        golden = [entry.tags[0] for entry in entries if entry.golden]
        return History(
            head=Head(id="0" * 16, layer=next((one.layer for one in entries if one.head), None)),
            snapshots={tag: entry.layer for entry in entries for tag in entry.tags},
            golden=golden[0] if golden else "",
        )

    # -- driving it ---------------------------------------------------------

    def change(self, name: str, change: Callable[[Entry], Entry | None]) -> None:
        """Every layer as `change` makes it, None for gone; everybody is told."""
        made = [change(entry) for entry in self.pasts.get(name, ())]
        self.pasts[name] = [entry for entry in made if entry]
        self._tell(name)

    def _tell(self, name: str) -> None:
        self._fake.change(name, history=self._fake.machines[name].history + 1)

    def _find(self, name: str, tag: str) -> Entry:
        return next(entry for entry in self.pasts[name] if tag in entry.tags)

    # -- acting -------------------------------------------------------------

    async def snapshot(self, name: str, tag: str, *, note: str = "", memory: bool = True) -> Layer:
        await self._fake._called("snapshot", name, tag, note, "memory" if memory else "disks")
        live = self._fake.machines[name].state.live
        past = [replace(entry, head=False) for entry in self.pasts.get(name, ())]
        below = next((one.layer for one in self.pasts.get(name, ()) if one.head), None)
        made = a_layer(len(past) + 100, tag, below, note=note, memory=memory and live, head=True)
        self.pasts[name] = [*past, made]
        self.unsaved[name] = 0
        self._tell(name)
        return Layer(id=made.layer, created=made.created, profile=Profile(name=name), note=note)

    async def suspend(self, name: str) -> None:
        await self._fake._move(Verb.SUSPEND, name, State.FROZEN)

    async def revert(self, name: str, tag: str, *, discard: bool = False) -> None:
        await self._fake._called("revert", name, tag, *(["discard"] if discard else []))
        layer = self._find(name, tag).layer
        self.unsaved[name] = 0
        self._fake.change(name, state=State.RUNNING, since=NOW)
        self.change(name, lambda entry: replace(entry, head=entry.layer == layer))

    async def reset_demo(self, name: str) -> None:
        await self._fake._called("reset-demo", name)
        self._fake.change(name, state=State.RUNNING, since=NOW)

    async def set_golden(self, name: str, tag: str = "") -> str:
        await self._fake._called("golden", name, tag)
        if not tag:
            tag = "golden"
            await self.snapshot(name, tag, note="golden moment")
        self.change(name, lambda entry: replace(entry, golden=tag in entry.tags))
        return tag

    async def clone(self, name: str, new: str, *, at: str = "", full: bool = False) -> None:
        await self._fake._called("clone", name, new, at)
        made = self._fake.machines[name].profile
        self._fake.publish(MachineChanged(MachineView(new, State.FROZEN, made, based_on=name)))

    def rename(self, name: str, old: str, new: str) -> None:
        self._fake.calls.append(("rename", name, old, new))
        self.change(
            name,
            lambda entry: replace(
                entry, tags=tuple(new if tag == old else tag for tag in entry.tags)
            ),
        )

    async def forget(self, name: str, tag: str) -> int:
        await self._fake._called("forget", name, tag)
        freed = self._find(name, tag).own
        self.change(name, lambda entry: None if entry.tags == (tag,) else entry)
        return freed

    async def squash(self, name: str, tag: str) -> None:
        await self._fake._called("squash", name, tag)
        gone = self._find(name, tag)
        self.change(
            name,
            lambda entry: (
                None
                if entry is gone
                else replace(entry, parent=gone.parent)
                if entry.parent == gone.layer
                else entry
            ),
        )

    async def compact(self, name: str) -> int:
        await self._fake._called("compact", name)
        return 0


def a_layer(
    number: int, tag: str = "", below: str | int | None = None, *, hours: float = 0, mib: float = 8,
    **more: Any,
) -> Entry:  # fmt: skip
    """A layer whose id is made from its number."""
    fields: dict[str, Any] = {"note": "", "shared": False, "memory": True, "picture": None,
                              "golden": False, "head": False}  # fmt: skip
    return Entry(
        layer=f"{number:016x}",
        parent=f"{below:016x}" if isinstance(below, int) else below,
        tags=(tag,) if tag else (),
        created=datetime.fromtimestamp(NOW - 3600 * hours, UTC),
        own=int(mib * 2**20),
        **(fields | more),
    )


def demo_past(picture: Path | None = None) -> list[Entry]:
    """An image, a golden moment, a way that was tried and left, and where the machine is."""
    return [
        a_layer(1, "", None, hours=80, mib=612, memory=False, note="images", shared=True),
        a_layer(2, "installed", 1, hours=74, mib=284, memory=False, shared=True,
                note="fresh, with all updates"),
        a_layer(3, "golden", 2, hours=2, mib=131.4, golden=True, head=True, picture=picture,
                note="logged in, web page open, five customers in the list"),
        a_layer(4, "before-nginx", 2, hours=28, mib=140.2, picture=picture),
        a_layer(5, "nginx-works", 4, hours=27, mib=148.9, picture=picture,
                note="the new front end answers"),
        a_layer(6, "old-kernel", 2, hours=50, mib=96, memory=False),
    ]  # fmt: skip


def recent(past: list[Entry]) -> list[Entry]:
    """The same layers, with NOW moved to the real present."""
    later = timedelta(seconds=time.time() - NOW)
    return [replace(entry, created=entry.created + later) for entry in past]

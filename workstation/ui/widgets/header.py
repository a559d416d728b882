"""The line at the top: what this computer is and has, and what of it is in use."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from workstation.model.units import format_size
from workstation.ui.widgets.lines import Bar, between


@dataclass(frozen=True, slots=True)
class Usage:
    kvm: bool | None = None
    """None until the host has been looked at."""
    running: int = 0
    used: int = 0
    """Bytes of host memory that the machines hold."""
    memory: int = 0
    """Bytes of the host's memory in all; 0 until known."""
    disk_free: int | None = None


class Header(Bar):
    """Title left, accelerator in the middle, figures right."""

    usage = Usage()

    def report(self, usage: Usage) -> None:
        if usage != self.usage:
            self.usage = usage
            self._lay_out()

    def _lay_out(self) -> None:
        width = self.size.width
        figures = Content(" · ".join(_figures(self.usage)) + " ")
        title = Content.assemble((" Workstation", "bold $primary"), "")
        middle = _accelerator(self.usage.kvm)
        room = max(1, width - figures.cell_length)
        start = max(title.cell_length + 2, min(room // 2 - 4, room - middle.cell_length - 2))
        left = title.pad_right(start - title.cell_length) + middle
        self.show([between(left, figures, width)])


def _accelerator(kvm: bool | None) -> Content:
    if kvm is None:
        return Content()
    if kvm:
        return Content.assemble(("KVM ", "$text-muted"), ("● hardware", "$text-success"))
    return Content.assemble(("TCG ", "$text-muted"), ("◌ emulated, slow", "$text-warning"))


def _figures(usage: Usage) -> list[str]:
    if not usage.memory:
        return []
    total = format_size(usage.memory)
    used = format_size(usage.used)
    if used.split()[1] == total.split()[1]:
        used = used.split()[0]
    figures = [f"{usage.running} running", f"{used} of {total}"]
    if usage.disk_free is not None:
        figures.append(f"{format_size(usage.disk_free)} free")
    return figures

"""Changing the selected machine's hardware, while it runs where that can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workstation.ui.commands.base import MachineCommand

if TYPE_CHECKING:
    from workstation.core.workstation import Workstation
    from workstation.model.machine import MachineView
    from workstation.ui.desk import Desk


class Change(MachineCommand):
    """Change disks, discs, memory, CPUs, forwards, USB: at once where that can be while it runs,
    else at its next start; which, is said while you type."""

    id, label, verb = "change", "Change", "edit"
    keys = shown_key = "C"

    async def act(self, desk: Desk, station: Workstation, view: MachineView) -> None:
        from workstation.ui.dialogs.change import ChangeDialog

        changes, name = station.changes, view.name
        number = len(view.profile.usb) if view.profile else 0
        usb = [f"usb[{number}]={one.kind} ({one.name})" for one in await changes.plugged_in()]
        question = ChangeDialog(name, lambda settings: changes.check(name, settings), usb)
        settings = await desk.app.push_screen_wait(question)
        if settings:
            for effect in await changes.set(name, settings):
                desk.app.notify(f"{name}: {effect}", markup=False)

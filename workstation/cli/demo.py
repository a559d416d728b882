"""`workstation demo`."""

import asyncio
import json
from typing import TYPE_CHECKING

from workstation.cli.showing import as_data, reachable
from workstation.cli.station import station
from workstation.cli.streams import interactive
from workstation.core.demo import DEMO
from workstation.model.machine import MachineView

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def demo(call: "Call") -> None:
    """The demo, ready; then the screens, where there are any."""

    async def act() -> MachineView:
        async with station("demo", DEMO, progress=True) as found:
            await found.demo()
            return found.view(DEMO)

    view = asyncio.run(act())
    if call.json:
        print(json.dumps(as_data(view), indent=2))
    elif call.headless or not interactive():
        print(_how_to_reach(view))
    else:
        from workstation.cli.screens import open_screens

        open_screens()


def _how_to_reach(view: MachineView) -> str:
    lines = [f"“{view.name}” is {view.state}; its guest is ready."]
    lines += [f"  its page:     {address}" for address in reachable(view)]
    lines += [
        f"  its console:  workstation console {view.name}   (ctrl+] leaves)",
        "  the screens:  workstation",
        f"  shut it down: workstation stop {view.name}",
    ]
    return "\n".join(lines)

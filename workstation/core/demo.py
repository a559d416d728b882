"""The demo: a real guest within seconds, whatever state it was left in."""

from typing import TYPE_CHECKING

from workstation.core.library import names
from workstation.core.serial import log as serial
from workstation.model.machine import State, Verb

if TYPE_CHECKING:
    from workstation.core.activities import Progress
    from workstation.core.workstation import Workstation

DEMO = "sales-demo"
"""The demo's profile, and the machine's name."""


async def run_demo(station: "Workstation", progress: "Progress") -> str:
    """Make it where it is missing, let it run, wait until it is ready; returns its name."""
    await _make(station, progress)
    since = await _let_run(station, progress)
    progress("demo: waiting for the guest's shell")
    await station.wait_ready(DEMO, since=since)
    return DEMO


async def _make(station: "Workstation", progress: "Progress") -> None:
    if DEMO in names.names(station.paths):
        return
    profile = station.load_profile(DEMO)
    progress("demo: building the small guest")
    for reference in (profile.boot.kernel, profile.boot.initrd):
        if reference and not reference.startswith("/"):
            image = reference.partition("/")[0]
            await station.images.ensure(image, lambda step, share: progress(step, share, 1))
    await station.create(DEMO, profile, based_on=DEMO)


async def _let_run(station: "Workstation", progress: "Progress") -> int:
    """Returns where its serial log begins to count."""
    await station.settled(DEMO)
    view = station.view(DEMO)
    if view.panicked:
        progress("demo: the guest had crashed: pressing its reset button")
        printed = serial.size(station.paths.machine(DEMO).serial_log)
        await station.reset(DEMO)
        return printed
    if view.state is State.PAUSED:
        progress("demo: going on")
        await station.resume(DEMO)
    elif view.allows(Verb.START):
        progress("demo: starting the guest")
        await station.start(DEMO)
    return 0

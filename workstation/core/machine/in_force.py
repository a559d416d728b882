"""The hardware that a guest has now, where that is not what its machine's file says.

The file may be edited while the guest runs, and counts from its next cold start. Memory only
goes on in the hardware that it was saved with. So the record of a run holds the profile that QEMU
was started with, kept true by what is plugged in later; layers of a running machine get that one.
"""

from pydantic import ValidationError

from workstation.core.layers import heads
from workstation.core.machine import run
from workstation.core.machine.machine import Machine
from workstation.model.machine import Definition
from workstation.model.profile import Profile


def recorded(record: run.Record | None) -> Profile | None:
    """The profile that a run was started with; None where the record does not say."""
    try:
        return Profile.model_validate(record.profile) if record and record.profile else None
    except ValidationError:
        return None


def in_force(machine: Machine) -> Profile | None:
    """What its guest has, runs it or sleeps; else what its file says."""
    wanted = machine.definition.profile if machine.definition else None
    if machine.pair() or heads.read_history(machine.paths).head.resume == "head":
        return recorded(run.read(machine.paths)) or wanted
    return wanted


def as_it_slept(machine: Machine, definition: Definition) -> Definition:
    """The definition with the hardware that the memory in the machine's head was saved with."""
    profile = in_force(machine)
    return definition.model_copy(update={"profile": profile}) if profile else definition


def note(machine: Machine, profile: Profile, forwards: list[list[str]] | None = None) -> None:
    """From now on its guest has that hardware."""
    record = run.read(machine.paths)
    if record:
        changed = record._replace(profile=plain(profile))
        if forwards is not None:
            changed = changed._replace(forwards=forwards)
        run.write(machine.paths, changed)


def plain(profile: Profile) -> dict[str, object]:
    """As the record of a run holds it."""
    return profile.model_dump(mode="json", exclude_none=True)

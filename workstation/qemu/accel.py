"""Which accelerator a machine gets, and why."""

from dataclasses import dataclass

from workstation.errors import HostError, UsageError
from workstation.model.host import HostFacts
from workstation.model.profile import Accelerator

VARIABLE = "WORKSTATION_ACCEL"

EMULATION = "the CPU is emulated: slow, and QEMU promises no isolation between guest and host"
"""What `tcg` means for a person (QEMU's manual, “Security”: non-virtualization use case)."""


@dataclass(frozen=True, slots=True)
class Choice:
    accelerator: Accelerator
    """KVM or TCG, never AUTO."""
    reason: str


def choose_accelerator(
    wanted: Accelerator, facts: HostFacts, override: str | None = None
) -> Choice:
    """What the profile wants; `override`, the value of `WORKSTATION_ACCEL`, goes before it.

    Raises HostError where KVM is asked for by name and cannot be used, UsageError where
    `override` is no accelerator.
    """
    asked = _parse(override) if override else wanted
    if asked is Accelerator.KVM and not facts.kvm:
        raise HostError(f"KVM cannot be used: {facts.kvm_reason}", hint=_hint(facts))
    if facts.kvm and asked is not Accelerator.TCG:
        return Choice(Accelerator.KVM, "hardware")
    if asked is Accelerator.TCG:
        return Choice(Accelerator.TCG, f"chosen; {EMULATION}")
    return Choice(Accelerator.TCG, f"KVM cannot be used ({facts.kvm_reason}); {EMULATION}")


def _parse(value: str) -> Accelerator:
    try:
        return Accelerator(value.strip().lower())
    except ValueError:
        raise UsageError(
            f"{VARIABLE} is “{value}”", hint=f"set {VARIABLE} to kvm, tcg or auto, or unset it"
        ) from None


def _hint(facts: HostFacts) -> str:
    otherwise = "the accelerator “auto” or “tcg” runs it without KVM, slowly"
    return f"{facts.kvm_mend}; {otherwise}" if facts.kvm_mend else otherwise

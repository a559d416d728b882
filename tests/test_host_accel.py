"""Which accelerator is chosen."""

import pytest

from workstation.errors import HostError, UsageError
from workstation.model.host import HostFacts
from workstation.model.profile import Accelerator
from workstation.qemu.accel import choose_accelerator

AUTO, KVM, TCG = Accelerator.AUTO, Accelerator.KVM, Accelerator.TCG
WITH = HostFacts(kvm=True)
WITHOUT = HostFacts(kvm_reason="there is no /dev/kvm", kvm_mend="sudo modprobe kvm_intel")


@pytest.mark.parametrize(
    ("wanted", "facts", "override", "chosen"),
    [
        (AUTO, WITH, None, KVM),
        (AUTO, WITHOUT, None, TCG),
        (KVM, WITH, None, KVM),
        (TCG, WITH, None, TCG),
        (AUTO, WITH, "tcg", TCG),
        (KVM, WITH, "tcg", TCG),
        (TCG, WITH, "KVM", KVM),
        (KVM, WITHOUT, "auto", TCG),
        (AUTO, WITH, "", KVM),
    ],
)
def test_choice(
    wanted: Accelerator, facts: HostFacts, override: str | None, chosen: Accelerator
) -> None:
    assert choose_accelerator(wanted, facts, override).accelerator is chosen


def test_emulation_says_why_and_what_it_means() -> None:
    reason = choose_accelerator(AUTO, WITHOUT).reason
    assert "there is no /dev/kvm" in reason
    assert "slow" in reason
    assert "no isolation" in reason
    assert "no isolation" in choose_accelerator(TCG, WITH).reason


@pytest.mark.parametrize(("wanted", "override"), [(KVM, None), (AUTO, "kvm")])
def test_kvm_by_name_where_it_cannot_be_used(wanted: Accelerator, override: str | None) -> None:
    with pytest.raises(HostError, match="there is no /dev/kvm") as caught:
        choose_accelerator(wanted, WITHOUT, override)
    assert "sudo modprobe kvm_intel" in caught.value.hint


def test_a_word_that_is_no_accelerator() -> None:
    with pytest.raises(UsageError, match="WORKSTATION_ACCEL is “xen”") as caught:
        choose_accelerator(AUTO, WITH, "xen")
    assert "kvm, tcg or auto" in caught.value.hint

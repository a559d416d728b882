"""`--set key=value`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.errors import UsageError
from workstation.model.profile import Drive, Profile
from workstation.profile.load import parse_profile
from workstation.profile.overrides import apply_overrides
from workstation.profile.problems import ProfileError

BASE = parse_profile("name: x\nmemory: 1 GiB\ndrives: [{image: debian-12}]", "x")


def test_single_keys_are_changed() -> None:
    changed = apply_overrides(
        BASE,
        [
            "memory=2 GiB",
            "cpu.cores = 4",
            "drives[0].size=20 GiB",
            "drives[1].size=1 GiB",
            "networks[0].forwards=[8081:80]",
            "networks[0].forwards[1]=2222:22",
            "networks[1]={mode: none}",
            "tags=[a, b]",
            "boot.kernel=a/vmlinuz",
            "boot.command_line=console=ttyS0 quiet",
        ],
    )
    assert changed.memory == 2 * 2**30
    assert changed.cpu.cores == 4
    assert [drive.size for drive in changed.drives] == [20 * 2**30, 2**30]
    assert changed.drives[0].image == "debian-12"
    assert [str(forward) for forward in changed.networks[0].forwards] == ["8081:80", "2222:22"]
    assert changed.networks[1].mode == "none"
    assert changed.tags == ("a", "b")
    assert changed.boot.command_line == "console=ttyS0 quiet"
    assert BASE.drives == (Drive(image="debian-12"),)


def test_nothing_set_is_nothing_changed() -> None:
    assert apply_overrides(BASE, []) == BASE


def test_the_later_one_counts() -> None:
    assert apply_overrides(BASE, ["cpu.cores=2", "cpu.cores=3"]).cpu.cores == 3


def test_the_last_entry_of_a_list_is_taken_away_by_null_and_no_other() -> None:
    two = apply_overrides(BASE, ["cdroms[0].image=a", "cdroms[1].image=b", "usb[0]=046d:c52b"])
    one = apply_overrides(two, ["cdroms[1]=null", "usb[0]=null"])
    assert [disc.image for disc in one.cdroms] == ["a"]
    assert one.usb == ()
    assert apply_overrides(two, ["cdroms[1]=null", "cdroms[0]=null"]).cdroms == ()
    for setting in ("cdroms[0]=null", "cdroms[2]=null"):
        with pytest.raises(ProfileError) as caught:
            apply_overrides(two, [setting])
        assert "only the last entry of a list" in caught.value.details


def test_all_problems_name_the_setting_that_they_are_in() -> None:
    settings = [
        "memory=2",
        "drives[9].size=3 GiB",
        "cpu.coers=4",
        "notes=[",
        "description=a: b",
        "boot.firmware=uefi-secure",
        "machine.type=pc",
        "name[0]=x",
        "ready=*x",
    ]
    with pytest.raises(ProfileError) as caught:
        apply_overrides(BASE, settings)
    assert caught.value.details.splitlines() == [
        "drives[9].size=3 GiB: there is no such place in the profile",
        "notes=[: not YAML: a value is missing or begins with a sign that must be in quotes",
        "name[0]=x: there is no such place in the profile",
        "ready=*x: aliases (*…) are not allowed here",
        "description=a: b: description: found a section; allowed: one line of at most 200"
        " characters",
        "cpu.coers=4: cpu.coers: unknown key; did you mean “cores”?",
        "memory=2: memory: a unit is missing: “2 MiB” or “2 GiB”; found 2",
        "boot.firmware=uefi-secure: boot.firmware: Secure Boot needs machine.type q35",
    ]


@pytest.mark.parametrize(
    "setting", ["", "memory", "=3", "a b=1", "drives[x]=1", "[0=1", "a..b=1", ".a=1"]
)
def test_what_is_no_setting_is_a_mistake_of_the_call(setting: str) -> None:
    with pytest.raises(UsageError, match="is not key=value") as caught:
        apply_overrides(BASE, [setting])
    assert "memory='2 GiB'" in caught.value.hint


KEYS = st.from_regex(r"(memory|drives|cpu|a)(\.size|\.cores|\[[0-3]\]){0,3}", fullmatch=True)


@given(st.lists(st.one_of(st.text(), st.builds("{}={}".format, KEYS, st.text())), max_size=4))
def test_any_settings_give_a_profile_or_its_problems(settings: list[str]) -> None:
    try:
        assert isinstance(apply_overrides(BASE, settings), Profile)
    except (UsageError, ProfileError) as error:
        assert str(error)

"""The shipped profiles, their schema, their documentation, and how they are found."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from workstation.errors import NotFoundError
from workstation.model.profile import Accelerator, Bus, Firmware, Nic, Profile
from workstation.paths import Paths, shipped
from workstation.profile.catalog import find_profile, list_profiles
from workstation.profile.dump import dump_profile
from workstation.profile.load import load_profile, parse_profile
from workstation.profile.schema import all_keys, profile_schema, schema_text

PROFILES = sorted(shipped("profiles").glob("*.yaml"))
NAMES = [
    "appliance",
    "blank",
    "debian-12",
    "debian-built",
    "fedora",
    "freebsd",
    "freedos",
    "kernel-lab",
    "os-course",
    "sales-demo",
    "ubuntu-24.04",
    "windows-11",
]
DOCS = Path(__file__).parent.parent / "docs" / "profiles.md"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "data", tmp_path / "config", tmp_path / "cache", tmp_path / "run")


def own(paths: Paths, name: str, text: str) -> Path:
    paths.profiles.mkdir(parents=True, exist_ok=True)
    path = paths.profiles / name
    path.write_text(text)
    return path


def test_all_are_there() -> None:
    assert [path.stem for path in PROFILES] == NAMES


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_each_is_valid_and_says_what_it_is_for(path: Path) -> None:
    profile = load_profile(path)
    assert profile.name == path.stem
    assert 20 < len(profile.description) <= 90
    assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")
    assert parse_profile(dump_profile(profile), "x") == profile


def test_windows_finds_only_devices_that_it_has_drivers_for() -> None:
    profile = load_profile(shipped("profiles") / "windows-11.yaml")
    assert profile.boot.firmware is Firmware.UEFI_SECURE
    assert profile.devices.tpm
    assert profile.machine.hyperv
    assert profile.clock == "localtime"
    assert [drive.bus for drive in profile.drives] == [Bus.SATA]
    assert [network.model for network in profile.networks] == [Nic.E1000E]
    assert profile.devices.sound == "hda"
    devices = profile.devices
    assert not (devices.rng or devices.agent or devices.balloon or devices.panic)


@pytest.mark.parametrize("name", ["appliance", "sales-demo", "kernel-lab", "os-course"])
def test_those_on_the_appliance_boot_it(name: str) -> None:
    profile = load_profile(shipped("profiles") / f"{name}.yaml")
    assert profile.boot.kernel == "appliance/vmlinuz"
    assert profile.boot.initrd == "appliance/initrd"
    assert profile.ready == "appliance ready"
    assert profile.devices.serial
    assert [drive.size for drive in profile.drives] == [2**30]


def test_what_makes_each_special() -> None:
    by_name = {path.stem: load_profile(path) for path in PROFILES}
    assert [str(rule) for rule in by_name["sales-demo"].networks[0].forwards] == ["8080:80"]
    assert by_name["kernel-lab"].machine.gdb
    assert by_name["os-course"].machine.accelerator is Accelerator.TCG
    assert by_name["os-course"].networks[0].restrict
    assert by_name["freebsd"].family == "bsd"


def test_the_shipped_schema_is_current() -> None:
    text = (shipped("profiles") / "schema.json").read_text()
    assert text == schema_text(), "make it new: workstation profile schema > profiles/schema.json"


def sections(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in (schema, *schema["$defs"].values()) if "properties" in node]


def test_the_schema_is_strict_and_explains_every_key() -> None:
    schema = profile_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["properties"]["memory"]["type"] == "string"
    assert schema["properties"]["memory"]["default"] == "1 GiB"
    forwards = schema["$defs"]["Network"]["properties"]["forwards"]
    assert re.match(forwards["items"]["pattern"], "0.0.0.0:8080:80/tcp")
    for section in sections(schema):
        assert section["additionalProperties"] is False
        for name, field in section["properties"].items():
            assert field.get("description"), name


def test_every_pattern_of_the_schema_is_said_in_words() -> None:
    def patterns(node: object) -> list[dict[str, Any]]:
        if isinstance(node, list):
            return [found for part in node for found in patterns(part)]
        if not isinstance(node, dict):
            return []
        own = [node] if isinstance(node.get("pattern"), str) else []
        return own + [found for part in node.values() for found in patterns(part)]

    found = patterns(json.loads(schema_text()))
    assert len(found) > 10
    assert all(node.get("patternErrorMessage") for node in found)


@pytest.mark.parametrize("key", all_keys())
def test_every_key_is_documented(key: str) -> None:
    text = DOCS.read_text()
    if key in {"machine", "cpu", "boot", "drives", "cdroms", "networks", "shares", "display",
               "devices", "provision"}:  # fmt: skip
        assert f"### `{key}`" in text
    else:
        assert f"| `{key.replace('[0]', '[]')}` |" in text


def test_the_documentation_speaks_of_no_other_key() -> None:
    keys = set(re.findall(r"^\| `([a-z_.\[\]]+)` \| ", DOCS.read_text(), re.MULTILINE))
    known = {key.replace("[0]", "[]") for key in all_keys()}
    assert {key for key in keys - known if key not in NAMES} == set()


def test_the_documented_example_is_valid() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert parse_profile(example, "docs").memory == 2 * 2**30


def test_the_shipped_ones_are_listed_with_what_they_are_for(paths: Paths) -> None:
    entries = list_profiles(paths)
    assert [entry.name for entry in entries] == NAMES
    assert all(entry.description and not entry.problem for entry in entries)


def test_the_persons_own_take_the_place_of_shipped_ones(paths: Paths) -> None:
    mine = own(paths, "fedora.yaml", "name: fedora\ndescription: mine\n")
    own(paths, "notes.txt", "no profile")
    entries = {entry.name: entry for entry in list_profiles(paths)}
    assert entries["fedora"].path == mine
    assert entries["fedora"].description == "mine"
    assert list(entries) == NAMES
    assert find_profile(paths, "fedora") == mine


def test_a_profile_that_does_not_load_is_listed_with_its_problem(paths: Paths) -> None:
    mine = own(paths, "bad.yml", "name: bad\nmemroy: 1 GiB\n")
    own(paths, "dir.yaml", "").unlink()
    (paths.profiles / "dir.yaml").mkdir()
    entries = {entry.name: entry for entry in list_profiles(paths)}
    assert entries["bad"].problem == f"{mine}:2:1: memroy: unknown key; did you mean “memory”?"
    assert "is not a file" in entries["dir"].problem


def test_profiles_are_found_by_name_or_path(paths: Paths, tmp_path: Path) -> None:
    assert find_profile(paths, "debian-12") == shipped("profiles") / "debian-12.yaml"
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\n")
    assert find_profile(paths, str(path)) == path
    with pytest.raises(NotFoundError, match="there is no file"):
        find_profile(paths, "missing.yaml")


@pytest.mark.parametrize("name", ["debain-12", "..", "", "x\x1b[0m"])
def test_an_unknown_name_gets_the_known_ones(paths: Paths, name: str) -> None:
    with pytest.raises(NotFoundError, match="there is no profile") as caught:
        find_profile(paths, name)
    assert ", ".join(NAMES) in caught.value.hint
    assert ("did you mean “debian-12”?" in caught.value.hint) == (name == "debain-12")
    assert "\x1b" not in str(caught.value)


DEFAULTS = """
    memory clock family machine.type machine.accelerator machine.hyperv machine.gdb cpu.model
    cpu.sockets cpu.cores cpu.threads boot.firmware boot.menu drives[].bus drives[].cache
    drives[].discard networks[].mode networks[].restrict networks[].model shares[].mode
    shares[].writable display.adapter display.width display.height
"""


def test_the_defaults_of_the_documentation_are_those_of_the_model() -> None:
    rows = dict(
        re.findall(r"^\| `([a-z_.\[\]]+)` \| .*? \| `?([^|`]+)`? \| ", DOCS.read_text(), re.M)
    )
    text = "name: x\ndrives: [{size: 1 GiB}]\nshares: [{path: /x, tag: x}]"
    profile = parse_profile(text, "x").model_dump(mode="json")
    switches = [f"devices.{name}" for name in Profile(name="x").devices.model_dump()]
    for key in (*DEFAULTS.split(), *switches):
        value: Any = profile
        for step in key.replace("[]", ".0").split("."):
            value = value[int(step)] if step.isdigit() else value[step]
        written = str(value).lower() if isinstance(value, bool) else str(value)
        assert rows[key].strip() == written, key

"""Writing profiles: pleasant to edit, and read back as the very same value."""

import string
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from workstation.model.machine import Definition
from workstation.model.profile import Profile
from workstation.model.units import exact_size
from workstation.profile.dump import dump_definition, dump_profile
from workstation.profile.load import parse_definition, parse_profile

PLEASANT = """\
# yaml-language-server: $schema=schema.json
name: x
description: For showing
tags: [demo, '2024']
notes: |
  # First
  second: line
cpu:
  cores: 2
memory: 1536 MiB
drives:
  - size: 20 GiB
    image: debian-12
  - size: 1 GiB
    bus: nvme
networks:
  - forwards: ['8080:80', '0.0.0.0:2222:22', '5353:53/udp']
devices:
  tpm: true
"""


def test_a_pleasant_file_is_written_back_as_it_was() -> None:
    assert dump_profile(parse_profile(PLEASANT, "x")) == PLEASANT


def test_memory_and_cores_are_written_though_they_are_as_by_default() -> None:
    assert (
        dump_profile(Profile(name="x"), schema="") == "name: x\ncpu:\n  cores: 1\nmemory: 1 GiB\n"
    )


def test_no_networks_are_not_the_default_network() -> None:
    profile = Profile(name="x", networks=())
    assert parse_profile(dump_profile(profile), "x").networks == ()


def test_a_machine_file_tells_what_it_is() -> None:
    definition = Definition(
        uuid=UUID(int=1),
        created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        profile=Profile(name="x"),
    )
    text = dump_definition(definition, "sales\ndemo: 1")
    assert text.startswith("# The machine “sales demo: 1”.")
    assert parse_definition(text, "machine.yaml") == definition


LINE = st.text(
    st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from(" #:-'\"{}[]&*!|>%@`,?~019"),
    max_size=30,
)
ANY = st.characters(codec="utf-8")
TEXT = st.text(ANY | st.sampled_from("\n\n \t#:-|"), max_size=60)
WORD = st.text(string.ascii_letters + string.digits + "_.-", min_size=1, max_size=8)
TAG = st.one_of(
    WORD, st.sampled_from(["null", "true", "no", "1e3", "0o17", "0x1", "1.5", "-", "..."])
)
PORT = st.integers(1, 65535)
DRIVE = st.fixed_dictionaries(
    {"size": st.integers(2**20, 2**46).map(exact_size)},
    optional={
        "image": st.sampled_from(["debian-12", "a/b", "/x y: z#", "/-", "0o7"]),
        "bus": st.sampled_from(["scsi", "nvme", "virtio"]),
        "cache": st.sampled_from(["none", "unsafe"]),
        "discard": st.booleans(),
    },
)
NETWORK = st.fixed_dictionaries(
    {},
    optional={
        "restrict": st.booleans(),
        "mac": st.binary(min_size=5, max_size=5).map(lambda tail: "52:" + tail.hex(":")),
        "forwards": st.lists(st.builds("{}:{}".format, PORT, PORT), max_size=3),
    },
)
PROFILES = st.fixed_dictionaries(
    {"name": st.from_regex(r"[a-z0-9][a-z0-9._-]{0,9}", fullmatch=True)},
    optional={
        "description": LINE,
        "family": st.sampled_from(["linux", "bsd"]),
        "tags": st.lists(TAG, max_size=4),
        "notes": TEXT,
        "machine": st.fixed_dictionaries({"accelerator": st.sampled_from(["tcg", "auto"])}),
        "cpu": st.fixed_dictionaries({}, optional={"cores": st.integers(1, 9), "model": WORD}),
        "memory": st.integers(4, 2**20).map(lambda size: f"{size} MiB"),
        "boot": st.fixed_dictionaries({"kernel": st.just("/k")}, optional={"command_line": LINE}),
        "drives": st.lists(DRIVE, max_size=3),
        "networks": st.lists(NETWORK, max_size=3),
        "shares": st.lists(
            st.fixed_dictionaries({"path": LINE.map(lambda tail: f"/{tail}"), "tag": WORD}),
            max_size=2,
        ),
        "ready": LINE,
    },
)


def profile_of(data: dict[str, Any]) -> Profile | None:
    try:
        return Profile.model_validate(data)
    except ValidationError:
        return None


@example(Profile(name="x", notes="\x85"))
@example(Profile(name="x", notes="one\ntwo\x85three\n"))
@example(Profile(name="x", notes="a\u2028b\u2029"))
@given(PROFILES.map(profile_of).filter(bool))
def test_what_is_written_is_read_back_exactly(profile: Profile) -> None:
    assert parse_profile(dump_profile(profile), "x") == profile
    definition = Definition(
        uuid=UUID(int=7), created=datetime(2026, 1, 1, tzinfo=UTC), profile=profile
    )
    assert parse_definition(dump_definition(definition, "x"), "x") == definition

"""Loading profiles: every problem at once, in words, at its place."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.errors import InvalidError, NotFoundError
from workstation.model.profile import Profile
from workstation.profile.load import load_profile, parse_definition, parse_profile
from workstation.profile.problems import MOST_PROBLEMS, ProfileError
from workstation.profile.schema import all_keys

BAD = """\
memroy: 1 GiB
nmae: x
family: linus
firmware: uefi
cores: 3
description: 12
machine: {type: pcc, accelerator: vmx, hyperv: yes}
cpu:
  cores: "4"
  sockets: 0
  threads: 2.5
memory: 1024
boot: [a]
drives:
  - size: lots
  - bus: virtoi
  - {size: 1 KiB, cache: true}
networks:
  - forwards: ["x", "99999:80", 8080:80]
    mac: 52:54:00:12:34:5G
  - mode: none
    forwards: [80:80]
shares:
  - path: relative
display: ~
tags: foo
devices:
  tpm: "true"
clock: UTC
clock: utc
"""

WANTED = """\
p.yaml:1:1: name: this key is missing; allowed: 1 to 40 of a-z, 0-9, “.”, “_” and “-”, the first \
a letter or digit
p.yaml:1:1: memroy: unknown key; did you mean “memory”?
p.yaml:2:1: nmae: unknown key; did you mean “name”?
p.yaml:3:9: family: found “linus”; allowed: linux, windows, bsd, other; did you mean “linux”?
p.yaml:4:1: firmware: unknown key; did you mean “boot.firmware”?
p.yaml:5:1: cores: unknown key; did you mean “cpu.cores”?
p.yaml:6:14: description: text is needed: put it in quotes; found 12
p.yaml:7:17: machine.type: found “pcc”; allowed: q35, pc, microvm, or a version such as “pc-q35-7.2”
p.yaml:7:35: machine.accelerator: found “vmx”; allowed: auto, kvm, tcg; did you mean “kvm”?
p.yaml:7:48: machine.hyperv: found “yes”; allowed: true, false; did you mean “true”?
p.yaml:9:10: cpu.cores: write it without quotes; found “4”
p.yaml:10:12: cpu.sockets: found 0; allowed: whole numbers from 1 to 16
p.yaml:11:12: cpu.threads: found 2.5; allowed: whole numbers from 1 to 8
p.yaml:12:9: memory: a unit is missing: “1024 MiB” or “1024 GiB”; found 1024
p.yaml:13:7: boot: found a list; allowed: a section with firmware, order, menu, kernel, initrd, \
command_line
p.yaml:15:11: drives[0].size: write a size such as “512 MiB” or “20 GiB”; found “lots”
p.yaml:16:5: drives[1]: a drive needs a size, an image, or both
p.yaml:16:10: drives[1].bus: found “virtoi”; allowed: virtio, scsi, sata, ide, nvme; did you mean \
“virtio”?
p.yaml:17:12: drives[2].size: a drive has between 1 MiB and 64 TiB
p.yaml:17:26: drives[2].cache: found true; allowed: writeback, none, writethrough, unsafe
p.yaml:19:16: networks[0].forwards[0]: write HOST:GUEST: “8080:80”, “5353:53/udp”, \
“0.0.0.0:8080:80” or “8000-8010:8000-8010”; found “x”
p.yaml:19:21: networks[0].forwards[1]: ports are numbers from 1 to 65535, the smaller one \
first; found “99999:80”
p.yaml:20:10: networks[0].mac: found “52:54:00:12:34:5G”; allowed: a local address in lower case, \
such as “52:54:00:12:34:56”
p.yaml:22:15: networks[1].forwards: only a network of mode user or passt forwards ports
p.yaml:24:5: shares[0].tag: this key is missing; allowed: 1 to 30 letters, digits, “_” and “-”
p.yaml:24:11: shares[0].path: found “relative”; allowed: a directory’s absolute path, or one that \
begins with ~/
p.yaml:25:10: display: found nothing; allowed: a section with adapter, width, height
p.yaml:26:7: tags: found “foo”; allowed: a list of at most 20 entries
p.yaml:28:8: devices.tpm: write it without quotes; found “true”
p.yaml:29:8: clock: found “UTC”; allowed: utc, localtime; did you mean “utc”?
p.yaml:30:1: clock: given twice; first in line 29
"""


def refused(text: str) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        parse_profile(text, "p.yaml")
    return caught.value


def test_all_problems_come_at_once_in_plain_words_at_their_places() -> None:
    error = refused(BAD)
    assert error.details.splitlines() == WANTED.splitlines()
    assert str(error) == f"p.yaml has {len(WANTED.splitlines())} problems"
    assert error.hint == "what each key may hold: workstation profile schema"
    assert error.exit_code == 5


def test_a_single_problem_is_counted_as_one() -> None:
    assert str(refused("name: x\nmemory: 3 PiB")) == "p.yaml has a problem"


def test_keys_that_do_not_go_together_are_named_where_they_stand() -> None:
    text = """\
name: x
machine: {type: microvm, accelerator: tcg}
cpu: {cores: 200, sockets: 2, model: host}
boot: {firmware: uefi}
drives: [{bus: ide, size: 1 GiB}]
networks:
  - {mac: 52:54:00:00:00:01, forwards: ["80:80", "80:81"]}
  - {mac: 52:54:00:00:00:01}
shares: [{path: /a, tag: t}, {path: /b, tag: t}]
"""
    places = [(problem.line, problem.column, problem.key) for problem in refused(text).problems]
    assert places == [
        (2, 17, "machine.type"),
        (3, 6, "cpu"),
        (3, 38, "cpu.model"),
        (4, 18, "boot.firmware"),
        (5, 16, "drives[0].bus"),
        (7, 50, "networks[0].forwards[1]"),
        (8, 11, "networks[1].mac"),
        (9, 46, "shares[1].tag"),
    ]


def test_clashes_show_beside_other_problems() -> None:
    text = "boot: {firmware: uefi-secure}\nmachine: {type: pc}\ncpu: {cores: none}\ndrives: [{}]"
    keys = [problem.key for problem in refused(text).problems]
    assert keys == ["name", "boot.firmware", "cpu.cores", "drives[0]"]


def test_a_clash_with_a_value_that_is_wrong_itself_is_not_reported() -> None:
    text = "name: x\nboot: {firmware: uefi-secure}\nmachine: {type: 440fx}\ndrives: [{size: big}]"
    keys = [problem.key for problem in refused(text).problems]
    assert keys == ["machine.type", "drives[0].size"]


@pytest.mark.parametrize(
    ("line", "suggestion"),
    [
        ("memroy: 1 GiB", "memory"),
        ("Memory: 1 GiB", "memory"),
        ("drive: []", "drives"),
        ("ram: 1 GiB", "memory"),
        ("command-line: x", "boot.command_line"),
        ("forwards: []", "networks[0].forwards"),
        ("cpu: {core: 2}", "cores"),
        ("devices: {usb-tablet: true}", "usb_tablet"),
        ("xyzzy: 1", ""),
    ],
)
def test_did_you_mean(line: str, suggestion: str) -> None:
    (problem,) = refused(f"name: x\n{line}").problems
    assert problem.suggestion == suggestion
    assert problem.message == "unknown key"
    assert problem.allowed


@pytest.mark.parametrize("text", ["", "# nothing\n", "~"])
def test_an_empty_file_is_said_to_be_empty(text: str) -> None:
    assert refused(text).details == "p.yaml:1:1: there is nothing in this file"


@pytest.mark.parametrize("text", ["- a", "just text", "7"])
def test_what_is_no_section_is_refused(text: str) -> None:
    assert "allowed: a section with name, description" in refused(text).details


def test_a_flood_of_problems_is_cut_and_quick() -> None:
    before = time.process_time()
    error = refused("".join(f"key{number}: 1\n" for number in range(4_900)))
    assert time.process_time() - before < 5
    assert len(error.problems) == MOST_PROBLEMS
    assert str(error) == "p.yaml has more than 100 problems"
    assert error.details.endswith("\nand more")


def test_what_a_stranger_wrote_is_shown_harmless() -> None:
    error = refused('name: "\\e]52;c;x\\a[red]\\n\\u202ex"\n"k\\ey\\n": 1\n')
    assert "\x1b" not in error.details
    assert "\u202e" not in error.details
    assert len(error.details.splitlines()) == 2


@pytest.mark.parametrize(
    "text",
    [
        "name: x\nmemory: " + "9" * 400 + "G",
        "name: x\nmemory: 99999999999999999999 TiB",
        "name: x\nboot: {kernel: appliance/..}",
        "name: x\nboot: {kernel: ../../etc/shadow}",
        "name: ..",
        "name: x\nmachine: {type: pc-q35-７.２}",
        "name: x\ncpu: {model: 'qemu64,+x'}",
        "name: x\nnetworks: [{forwards: ['10.0.0.1:80:80']}]",
        'name: "x\\n"',
    ],
)
def test_values_that_would_mean_something_else_further_down_are_refused(text: str) -> None:
    assert len(refused(text).problems) == 1


def test_a_machine_file_is_checked_like_a_profile() -> None:
    text = "uuid: 1\ncreated: yesterday\nprofile: {name: x, memroy: 1 GiB}\nextra: 1\n"
    with pytest.raises(ProfileError) as caught:
        parse_definition(text, "machine.yaml")
    assert caught.value.details.splitlines() == [
        "machine.yaml:1:7: uuid: text is needed: put it in quotes; found 1",
        "machine.yaml:2:10: created: found “yesterday”; allowed: a date and time",
        "machine.yaml:3:20: profile.memroy: unknown key; did you mean “memory”?",
        "machine.yaml:4:1: extra: unknown key; allowed: uuid, created, based_on, profile",
    ]


def test_a_file_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("name: x\nmemory: 2 GiB\nnetworks:\n  - forwards: [8080:22]\n")
    profile = load_profile(path)
    assert profile.memory == 2 * 2**30
    assert str(profile.networks[0].forwards[0]) == "8080:22"


def test_files_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        load_profile(tmp_path / "none.yaml")
    with pytest.raises(InvalidError, match="is not a file"):
        load_profile(tmp_path)
    with pytest.raises(InvalidError, match="is not a file"):
        load_profile(Path("/dev/zero"))
    with pytest.raises(InvalidError, match="cannot be read"):
        load_profile(Path("a\0b"))
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: x\nnotes: “ä”".encode() + b"\xe4")
    with pytest.raises(ProfileError) as caught:
        load_profile(latin)
    assert caught.value.details == f"{latin}:2:11: this is not text in UTF-8"
    large = tmp_path / "large.yaml"
    large.write_bytes(b"# x\n" * 100_000)
    with pytest.raises(ProfileError, match="has a problem") as caught:
        load_profile(large)
    assert "larger than 256 KiB" in caught.value.details


SCALARS = st.one_of(
    st.sampled_from(["true", "no", "~", "1 GiB", "8080:80", "q35", "microvm", "pc", "ide", "host"]),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=12).map(repr),
    st.just("[]"),
    st.just("{}"),
    st.just("[1, {a: b}]"),
)
LINES = st.tuples(st.sampled_from([key.split("[")[0] for key in all_keys()]), SCALARS)


def as_yaml(lines: list[tuple[str, str]]) -> str:
    return "name: x\n" + "".join(
        f"{key}: {value}\n"
        if "." not in key
        else f"{key.split('.')[0]}: {{{key.split('.')[1]}: {value}}}\n"
        for key, value in lines
    )


@given(st.one_of(st.text(), st.lists(LINES, max_size=8).map(as_yaml)))
def test_any_text_gives_a_profile_or_its_problems(text: str) -> None:
    try:
        assert isinstance(parse_profile(text, "p.yaml"), Profile)
    except ProfileError as error:
        assert error.problems
        for line in error.details.splitlines():
            assert line.startswith("p.yaml:")
            # None of pydantic's own words.
            assert not any(word in line for word in ("Input should", "pydantic", "Value error"))

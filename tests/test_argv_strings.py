"""No text in a profile, and no path on the host, can add an option to QEMU's command line."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.argv_launch import launch_of, options, read, shape
from workstation.model.profile import Accelerator, Profile
from workstation.qemu import line_log
from workstation.qemu.argv import Launch, command_line

ATTACKS = (
    ",", ",,", ",,,", "=", "a=b", " ", "-device", "--", "-", "'", '"', "\\", '"}', "\\u0022",
    "x,readonly=off", "x,,readonly=off", ",security_model=none", "hostname=x,guestfwd=tcp:1:2",
    'json:{"driver":"file","filename":"/etc/shadow"}', "nbd:host:1", "fd:3", "exec:id", "file:x",
    '", "file": {"driver": "file", "filename": "/etc/shadow"}, "x": "', "{}", "null", "%s", "$HOME",
    "on", "help", "?", "@", "#", ";reboot", "`id`", "$(id)", "ünï – код 𝄞", "\u202e", "\u2028",
)  # fmt: skip

CONTROL = "".join(map(chr, (*range(32), 127)))
printable = st.characters(exclude_categories=["Cs"], exclude_characters=CONTROL)
any_text = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


def nasty(characters: st.SearchStrategy[str] = printable, most: int = 60) -> st.SearchStrategy[str]:
    """Text of attacks and of whatever Hypothesis thinks of."""
    piece = st.sampled_from(ATTACKS) | st.text(characters, max_size=5)
    return st.lists(piece, max_size=4).map("".join).map(lambda text: text[:most])


def words(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


image = (
    words(r"[a-z0-9][a-z0-9._-]{0,9}(/[A-Za-z0-9][A-Za-z0-9._-]{0,9})?")
    | nasty().map(lambda text: f"/{text or 'x'}")
).flatmap(lambda path: st.sampled_from([path, f"{path}.raw"]))
tag = words(r"[A-Za-z0-9_-]{1,30}")
share = st.fixed_dictionaries(
    {"path": nasty().flatmap(lambda text: st.sampled_from([f"/{text}", f"~/{text}"])), "tag": tag},
    optional={"mode": st.sampled_from(["9p", "virtiofs"]), "writable": st.booleans()},
)
network = st.fixed_dictionaries(
    {"model": st.sampled_from(["virtio", "e1000e", "e1000", "rtl8139"])},
    optional={
        "mode": st.sampled_from(["user", "none", "private", "tap", "bridge", "passt"]),
        "name": words(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}"),
        "restrict": st.booleans(),
        "mac": words(r"[0-9a-f][26ae](:[0-9a-f]{2}){5}"),
    },
)


def fitting(network: dict[str, Any]) -> dict[str, Any]:
    """A name where the mode takes one, and nowhere else."""
    named = network.get("mode") in ("private", "tap", "bridge")
    changed = {"name": "lab", **network} if named else {**network, "name": None}
    return changed | ({} if network.get("mode", "user") == "user" else {"restrict": False})


device_flags = ("serial", "usb_tablet", "rng", "tpm", "agent", "balloon", "panic")
devices = st.fixed_dictionaries(
    {"sound": st.sampled_from(["none", "hda"])},
    optional=dict.fromkeys(device_flags, st.booleans()),
)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Valid profiles with the worst texts that they may hold."""
    kind = draw(st.sampled_from(["pc", "q35", "microvm"]))
    buses = ["virtio", "scsi", "sata", "nvme", *(["ide"] if kind == "pc" else [])]
    caches = ["writeback", "none", "writethrough", "unsafe"]
    drive = st.fixed_dictionaries(
        {"size": st.just("1 GiB"), "bus": st.sampled_from(buses)},
        optional={"image": image, "cache": st.sampled_from(caches), "discard": st.booleans()},
    )
    firmware = {"pc": ["bios", "uefi"], "q35": ["bios", "uefi", "uefi-secure"], "microvm": ["bios"]}
    boot: dict[str, Any] = {"firmware": draw(st.sampled_from(firmware[kind]))}
    if kind == "microvm" or draw(st.booleans()):
        boot |= {"kernel": draw(image), "command_line": draw(nasty(most=2000))}
        boot |= draw(st.fixed_dictionaries({}, optional={"initrd": image}))
    values = {
        "name": draw(words(r"[a-z0-9][a-z0-9._-]{0,39}")),
        "description": draw(nasty()),
        "tags": draw(st.lists(words(r"[A-Za-z0-9_.-]{1,30}"), max_size=2)),
        "notes": draw(nasty(any_text)),
        "ready": draw(nasty()),
        "machine": {"type": kind, "hyperv": draw(st.booleans()), "gdb": draw(st.booleans())},
        "cpu": {"model": draw(words(r"[A-Za-z0-9._-]{1,60}"))},
        "boot": boot,
        "drives": draw(st.lists(drive, max_size=3)),
        "cdroms": draw(st.lists(st.fixed_dictionaries({}, optional={"image": image}), max_size=2)),
        "networks": [fitting(one) for one in draw(st.lists(network, max_size=3))],
        "usb": draw(st.lists(words(r"[0-9a-f]{4}:[0-9a-f]{4}"), max_size=2, unique=True)),
        "shares": draw(st.lists(share, max_size=3, unique_by=lambda one: str(one["tag"]))),
        "display": {"adapter": draw(st.sampled_from(["none", "std", "virtio"]))},
        "devices": draw(devices),
    }
    try:
        return Profile.model_validate(values)
    except ValidationError:
        assume(False)
        raise


def harmless(profile: Profile) -> Profile:
    """The same hardware, every text replaced by a plain word."""

    def plain(reference: str | None, word: str) -> str | None:
        ending = ".raw" if reference and reference.endswith(".raw") else ""
        return reference and f"/{word}{ending}"

    boot = profile.boot
    return profile.model_copy(
        update={
            "name": "x",
            "description": "",
            "tags": (),
            "notes": "",
            "ready": "",
            "cpu": profile.cpu.model_copy(update={"model": "qemu64"}),
            "boot": boot.model_copy(
                update={
                    "kernel": plain(boot.kernel, "kernel"),
                    "initrd": plain(boot.initrd, "initrd"),
                    "command_line": "quiet",
                }
            ),
            "drives": tuple(
                drive.model_copy(update={"image": plain(drive.image, "disk")})
                for drive in profile.drives
            ),
            "cdroms": tuple(
                drive.model_copy(update={"image": plain(drive.image, "disc")})
                for drive in profile.cdroms
            ),
            "networks": tuple(
                network.model_copy(update={"name": network.name and "x"})
                for network in profile.networks
            ),
            "usb": tuple(f"1d6b:000{number}" for number, _ in enumerate(profile.usb)),
            "shares": tuple(
                share.model_copy(update={"path": "/share", "tag": f"share{number}"})
                for number, share in enumerate(profile.shares)
            ),
        }
    )


def shapes(launch: Launch) -> list[tuple[str, Any]]:
    """The options, and the keys in each; raises where one cannot be read."""
    return [(name, shape(read(name, value))) for name, value in options(command_line(launch))]


root = nasty(any_text, 200).map(lambda text: f"/{text}")
accelerators = st.sampled_from([Accelerator.KVM, Accelerator.TCG])


@settings(max_examples=300)
@given(profiles(), root, accelerators)
def test_texts_and_paths_never_change_what_is_asked_of_qemu(
    profile: Profile, root: str, accelerator: Accelerator
) -> None:
    nasty = launch_of(profile, accelerator, root=root)
    plain = launch_of(harmless(profile), accelerator)
    assert shapes(nasty) == shapes(plain)


@settings(max_examples=200)
@given(profiles(), root)
def test_each_text_arrives_at_its_place_as_it_was(profile: Profile, root: str) -> None:
    launch = launch_of(profile, Accelerator.TCG, root=root)
    said = [(name, read(name, value)) for name, value in options(command_line(launch))]
    nodes = {value["node-name"]: value for name, value in said if name == "-blockdev"}
    for number, files in enumerate(launch.drives):
        top = nodes[f"drive{number}"]
        assert top["file"]["filename"] == str(files[0].path)
        assert top["backing"] == (f"drive{number}-1" if len(files) > 1 else None)
    for number, disc in enumerate(launch.discs):
        assert not disc or nodes[f"cdrom{number}"]["file"]["filename"] == str(disc)
    exported = [value["path"] for name, value in said if name == "-fsdev"]
    assert exported == [
        str(directory)
        for share, directory in zip(launch.profile.shares, launch.shares, strict=True)
        if share.mode == "9p"
    ]
    if launch.kernel:
        assert ("-append", profile.boot.command_line) in said
    if profile.display.adapter != "none":
        where = {"vnc": f"unix:{launch.paths.vnc}", "key-delay-ms": "2"}
        assert ("-vnc", where) in said
    if profile.devices.serial:
        logs = [value["logfile"] for _, value in said if "logfile" in value]
        assert logs == [f"/dev/fd/{line_log.DESCRIPTOR}"]


@pytest.mark.parametrize(
    "reference",
    ["json:{}", "nbd:host:1", "fat:rw:/", "-device", "a:b", "../up", "a/../b", "", "/a\nb", "/\0"],
)
def test_what_qemu_might_take_for_more_than_a_file_name_is_no_image(reference: str) -> None:
    with pytest.raises(ValidationError):
        Profile.model_validate({"name": "x", "drives": [{"image": reference}]})

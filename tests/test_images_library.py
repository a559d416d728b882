"""The catalog, a person's own images, and how machines stand on them."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import base
from tests.test_cli import Said
from workstation.core.images import Images
from workstation.core.images.catalog import load
from workstation.core.images.keep import How
from workstation.core.images.offers import offers
from workstation.core.layers.store import Store
from workstation.core.workstation import Workstation
from workstation.errors import InvalidError, NotFoundError, UsageError
from workstation.model.image import Kind
from workstation.model.profile import Profile
from workstation.paths import Paths, shipped
from workstation.profile.catalog import find_profile
from workstation.profile.problems import ProfileError

CATALOG = sorted(shipped("images").glob("*.yaml"))


# -- the catalog --------------------------------------------------------------


@pytest.mark.parametrize("path", CATALOG, ids=lambda path: path.stem)
def test_each_shipped_entry_is_right_and_helps_a_person(path: Path, paths: Paths) -> None:
    image = load(path)
    assert 10 < len(image.description) <= 90
    assert image.login
    assert image.page
    assert all(url.startswith("https://") for url in image.urls)
    if image.checksums:
        assert all(url.startswith("https://") for url in image.checksums.urls)
    if image.profile:
        assert find_profile(paths, image.profile)
    if image.kind is Kind.DISK:
        assert image.disk


def test_the_systems_that_people_ask_for_are_there(paths: Paths) -> None:
    names = Images(paths).catalog.names()
    wanted = "debian-12 debian-13 ubuntu-22.04 ubuntu-24.04 fedora almalinux-9 opensuse-leap arch"
    assert {*wanted.split(), "alpine", "freebsd", "nixos", "windows-11", "freedos"} <= set(names)


def test_every_problem_of_an_entry_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "name: bad\ndescription: x\nurls: [ftp://example.org/x]\nformat: vdi\n"
        "downlaod: 3 GiB\nworks: {cloudinit: true}\nhash: abc\n"
    )
    with pytest.raises(ProfileError) as caught:
        load(file)
    said = caught.value.details
    assert f"{file}:3:8: urls[0]" in said
    assert "https://" in said
    assert ":4:9: format" in said
    assert "qcow2, raw, iso" in said
    assert ":5:1: downlaod: unknown key" in said
    assert "did you mean “download”" in said
    assert "did you mean “cloud_init”" in said
    assert "SHA-256" in said
    assert "docs/images.md" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"hash": None}, "checksums or hash"),
        ({"given": "by post"}, "either urls, or given"),
        ({"kind": "disc"}, "a disc is iso"),
        ({"name": "other"}, "is to be called other.yaml"),
    ],
)
def test_what_does_not_go_together_is_said(
    tmp_path: Path, change: dict[str, object], what: str
) -> None:
    entry = {"name": "one", "description": "x", "download": "1 MiB", "hash": "0" * 64,
             "urls": ["https://example.org/x.qcow2"], **change}  # fmt: skip
    file = tmp_path / "one.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in entry.items() if value}))
    with pytest.raises(ProfileError) as caught:
        load(file)
    assert what in caught.value.details


def test_a_persons_own_entry_takes_a_shipped_ones_place(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    own = paths.config / "images"
    own.mkdir(parents=True)
    text = (shipped("images") / "debian-12.yaml").read_text()
    (own / "debian-12.yaml").write_text(text.replace("generic cloud image", "ours"))
    (own / "broken.yaml").write_text("name: 5\n")
    rows = {row["name"]: row for row in json.loads(Said(capsys, "images", "list", "--json").out)}
    assert rows["debian-12"]["description"] == "Debian 12 (bookworm), ours"
    assert rows["broken"]["state"] == "has a problem"
    assert "broken.yaml:1:" in rows["broken"]["description"]
    said = Said(capsys, "images", "pull", "debain-12")
    assert (said.code, "did you mean “debian-12”" in said.err) == (3, True)


async def test_what_a_machine_can_be_made_of_is_told_whether_it_is_here_or_not(
    paths: Paths, tmp_path: Path
) -> None:
    images = Images(paths)
    await images.add(disk(tmp_path / "mine.raw"), "mine", How.COPY)
    iso = tmp_path / "tools.iso"
    iso.write_bytes(bytes(32768) + b"\1CD001" + bytes(4096))
    await images.add(iso, "tools", How.COPY)
    disk(paths.images / "loose.qcow2")
    found = {offer.name: offer for offer in offers(images)}
    told = {name: (found[name].kind, found[name].here) for name in
            ("mine", "tools", "loose", "debian-12", "nixos", "debian", "appliance")}  # fmt: skip
    assert told == {
        "mine": (Kind.DISK, True), "tools": (Kind.DISC, True), "loose": (Kind.DISK, True),
        "debian-12": (Kind.DISK, False), "nixos": (Kind.DISC, False),
        "debian": (Kind.DISK, False), "appliance": (None, False),
    }  # fmt: skip
    assert "guest agent" in found["debian"].description
    assert found["mine"].description == f"from {tmp_path / 'mine.raw'}"


# -- a person's own files -------------------------------------------------------


def disk(path: Path, size: int = 2**20) -> Path:
    path.write_bytes(b"boot" + bytes(size - 4))
    return path


async def test_a_file_is_copied_moved_or_linked_into_the_library(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = disk(tmp_path / "My Disk.IMG")
    images = Images(paths)
    copied = await images.add(file, "copied", How.COPY)
    assert not os.path.samefile(copied.path / "disk.raw", file)
    linked = await images.add(file, "linked", How.LINK)
    assert os.path.samefile(linked.path / "disk.raw", file)
    assert file.stat().st_mode & 0o222 == 0
    moved = await images.add(file, "moved", How.MOVE)
    assert not file.exists()
    assert [image.name for image in images.list()] == ["copied", "linked", "moved"]
    assert {image.files["disk.raw"] for image in (copied, linked, moved)} == {
        images.digest(images.resolve("copied"))
    }
    other = disk(tmp_path / "Other Disk.raw")
    said = await asyncio.to_thread(Said, capsys, "images", "add", str(other))
    assert (said.code, bool(images.get("other-disk"))) == (0, True)


async def test_what_cannot_be_added_says_why(paths: Paths, tmp_path: Path) -> None:
    images = Images(paths)
    await images.add(disk(tmp_path / "one.raw"), "one", How.COPY)
    (tmp_path / "x.qcow2").write_bytes(b"no")
    (tmp_path / "x.iso").write_bytes(bytes(50_000))
    backed = tmp_path / "backed.qcow2"
    words = ("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", backed)
    subprocess.run(words, check=True)
    for file, name, kind, what in (
        ("one.raw", "one", UsageError, "already"),
        ("one.raw", "../up", UsageError, "name"),
        ("none.raw", "n", NotFoundError, "no file"),
        ("x.qcow2", "n", InvalidError, "not a qcow2"),
        ("x.iso", "n", InvalidError, "not a disc"),
        ("backed.qcow2", "n", InvalidError, "another file"),
    ):
        with pytest.raises(kind, match=what):
            await images.add(tmp_path / file, name, How.COPY)
    assert [image.name for image in images.list()] == ["one"]


async def test_a_changed_image_is_noticed(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = await Images(paths).add(disk(tmp_path / "one.raw"), "one", How.COPY)
    assert Said(capsys, "images", "verify").code == 0
    file = image.path / "disk.raw"
    file.chmod(0o600)
    with file.open("r+b") as stream:
        stream.write(b"evil")
    said = Said(capsys, "images", "verify", "one")
    assert (said.code, said.out) == (5, "“one”: not as it was: disk.raw\n")
    assert json.loads(Said(capsys, "images", "verify", "--json").out) == [
        {"name": "one", "whole": False, "differing": ["disk.raw"]}
    ]


# -- what machines stand on -------------------------------------------------------


def on(image: str, **changes: object) -> Profile:
    basis: dict[str, object] = {"name": "t", "memory": "32 MiB", "drives": [{"image": image}]}
    return Profile.model_validate(basis | changes)


async def test_machines_of_one_image_share_its_layer_and_nothing_is_copied(
    station: Workstation, paths: Paths, tmp_path: Path
) -> None:
    await station.images.add(disk(tmp_path / "one.raw", 64 * 2**20), "one", How.MOVE)
    for number in range(10):
        await station.create(f"m{number}", on("one"))
    layers = Store(paths).ids()
    assert len(layers) == 1
    assert os.path.samefile(base(paths, "m9"), station.images.resolve("one"))
    # Another machine's clone of it is that machine's, with its own name and addresses.
    await station.layers.clone("m3", "copy", at=layers[0][:6])
    first, second = (station.machine(name).definition for name in ("m3", "copy"))
    assert first and second
    assert first.profile.networks[0].mac != second.profile.networks[0].mac
    assert second.profile.name == "copy"
    # Another profile is another layer, though of the same file.
    await station.create("other", on("one", memory="64 MiB"))
    assert len(Store(paths).ids()) == 2
    assert os.path.samefile(base(paths, "other"), base(paths, "m0"))


async def test_a_removed_image_harms_no_machine_and_a_new_one_changes_none(
    station: Workstation, paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await station.images.add(disk(tmp_path / "one.raw"), "one", How.MOVE)
    await station.create("m", on("one"))
    assert Said(capsys, "images", "remove", "one").code == 0
    assert station.images.list() == []
    assert base(paths, "m").read_bytes()[:4] == b"boot"
    (tmp_path / "two.raw").write_bytes(b"else" + bytes(2**20))
    await station.images.add(tmp_path / "two.raw", "one", How.MOVE)
    await station.create("n", on("one"))
    assert base(paths, "n").read_bytes()[:4] == b"else"
    assert base(paths, "m").read_bytes()[:4] == b"boot"
    # The layer goes with its last machine; the image stays.
    await station.delete("n")
    assert len(Store(paths).ids()) == 1
    assert station.images.verify("one") == []


async def test_a_strangers_layer_is_not_taken_for_the_image(
    station: Workstation, paths: Paths, tmp_path: Path
) -> None:
    """An import may bring a layer of any id; only content decides."""
    await station.images.add(disk(tmp_path / "one.raw"), "one", How.MOVE)
    await station.create("m", on("one"))
    planted = base(paths, "m")
    planted.unlink()
    planted.write_bytes(b"evil" + bytes(2**20 - 4))
    await station.create("n", on("one"))
    assert base(paths, "n").read_bytes()[:4] == b"boot"


async def test_a_file_of_ones_own_counts_as_it_is_now(
    station: Workstation, paths: Paths, tmp_path: Path
) -> None:
    file = disk(tmp_path / "one.raw")
    await station.create("m", on(str(file)))
    file.write_bytes(b"new!" + bytes(2**20 - 4))
    await station.create("n", on(str(file)))
    assert [base(paths, name).read_bytes()[:4] for name in "mn"] == [b"boot", b"new!"]


# -- what a machine is made from ----------------------------------------------------


def created(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    return Said(capsys, "create", *words)


def test_the_answers_are_options_too(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = disk(tmp_path / "d.raw")
    words = ("--memory", "48 MiB", "--cpus", "3", "--disk", "30 MiB", "--image", str(image))
    said = created(capsys, "m", *words)
    assert (said.code, said.out) == (0, "“m”: made\n")
    text = (paths.machine("m").file).read_text()
    profile = yaml.safe_load(text)["profile"]
    assert (profile["memory"], profile["cpu"]["cores"]) == ("48 MiB", 3)
    assert profile["drives"][0]["size"] == "30 MiB"
    assert profile["drives"][0]["image"] == str(image)


def test_a_disc_makes_an_empty_disk_beside_it(
    paths: Paths,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "i.iso").write_bytes(bytes(32769) + b"CD001" + bytes(5000))
    monkeypatch.chdir(tmp_path)
    assert created(capsys, "m", "--iso", "./i.iso").code == 0
    profile = yaml.safe_load(paths.machine("m").file.read_text())["profile"]
    assert profile["cdroms"] == [{"image": str(tmp_path / "i.iso")}]
    assert profile["drives"][0]["size"] == "20 GiB"
    assert profile["boot"]["order"] == ["disk", "cdrom"]


def test_a_directory_of_profiles_and_a_clone(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lab.yaml").write_text("name: lab\nmemory: 40 MiB\ndrives: [{size: 1 MiB}]\n")
    assert created(capsys, "m", "-p", str(tmp_path)).code == 0
    (tmp_path / "more.yaml").write_text("name: more\n")
    said = created(capsys, "n", "-p", str(tmp_path))
    assert (said.code, "more.yaml" in said.err) == (2, True)
    assert created(capsys, "n", "-p", f"{tmp_path}/lab.yaml").code == 0
    assert created(capsys, "c", "--from", "m").code == 0
    profile = yaml.safe_load(paths.machine("c").file.read_text())["profile"]
    assert (profile["name"], profile["memory"]) == ("c", "40 MiB")
    said = created(capsys, "d", "--from", "m", "--memory", "1 GiB")
    assert (said.code, "--memory" in said.err) == (2, True)


def test_wrong_answers_name_their_option(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = created(capsys, "m", "-p", "blank", "--memory", "2", "--cpus", "many", "--disk", "x'y")
    assert said.code == 5
    for words in ("--memory 2: memory", "--cpus many: cpu.cores", "--disk x'y: drives[0].size"):
        assert words in said.err
    foreign = tmp_path / "x.vmdk"
    foreign.write_bytes(b"KDMV")
    said = created(capsys, "m", "--image", str(foreign))
    assert (said.code, f"import it: workstation import {foreign}" in said.err) == (2, True)
    said = created(capsys, "m", "--image", "debain-12")
    assert (said.code, "debain-12" in said.err) == (3, True)


async def test_remarks_say_what_does_not_fit(
    station: Workstation, paths: Paths, tmp_path: Path
) -> None:
    await station.images.add(disk(tmp_path / "one.raw", 8 * 2**20), "one", How.MOVE)
    await station.create("taken", on("one"))
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    profile = on(
        "one",
        memory="8000 GiB",
        cpu={"sockets": 4, "cores": 60},
        drives=[
            {"image": "one", "size": "1 MiB"},
            {"size": "60 TiB"},
            {"image": "nobodys"},
            {"image": "debian-12"},
            {"image": "windows-11"},
            {"image": "debian"},
        ],
        networks=[{"forwards": [f"{port}:80"]}],
    )
    found = await station.making.remarks("taken", profile)
    server.close()
    said = {(one.subject, one.fatal): one.text for one in found}
    assert "already" in said["name", True]
    assert "in all" in said["memory", True]
    assert "slower" in said["cpus", False]
    assert "its image has 8 MiB" in said["disk", True]
    assert "may grow to 60 TiB" in said["disk", False]
    assert str(port) in said["ports", False]
    texts = " / ".join(one.text for one in found if one.subject == "image")
    for words in (
        "no image “nobodys”",
        "downloaded first, 430 MiB",
        "images add FILE",
        "built first",
    ):
        assert words in texts
    assert await station.making.remarks("free", on("one")) == []


async def test_a_machine_for_a_disc_is_called_after_it(station: Workstation, home: Path) -> None:
    disc = home / "My Installer.iso"
    disc.write_bytes(bytes(2048))
    found = await station.making.from_disc(str(disc))
    assert (found.name, found.notes) == ("my-installer", "")
    assert "My Installer.iso" in found.description
    assert found.cdroms[0].image == str(disc)
    assert found.drives[0].size


async def test_who_logs_in_comes_from_the_catalog_and_can_be_said(
    station: Workstation, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    alpine = await station.making.from_image("alpine")
    assert alpine.provision.user == "alpine"
    mine = station.making.with_answers(alpine, user="maria", key="machine", hostname="till")
    kept = mine.provision
    assert (kept.user, kept.ssh_key, kept.hostname) == ("maria", "machine", "till")
    nobody = station.making.with_answers(mine, user="", key="", hostname="")
    assert not nobody.provision.asked
    own = station.making.with_answers(alpine, key="own")
    said = {one.subject: one for one in await station.making.remarks("a", own)}
    assert said["key"].fatal and "ssh-keygen" in said["key"].text
    bare = on("windows-11", provision={"user": "maria"})
    told = [one.text for one in await station.making.remarks("b", bare) if one.subject == "user"]
    assert told == ["“windows-11” has no cloud-init: nothing will make that user"]
    words = ("box", "-p", "blank", "--user", "maria", "--key", "machine", "--hostname", "till")
    assert (await asyncio.to_thread(created, capsys, *words)).code == 0
    assert (paths.machine("box").ssh / "id_ed25519").exists()

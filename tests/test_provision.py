"""What sets a new machine up: its words, its disc, what of it stays, and that nothing leaks."""

import asyncio
import gzip
import json
import stat
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from pycdlib import PyCdlib

from tests.conftest import tiny
from workstation.core.bundle.strip import stripped
from workstation.core.layers import freeze, mend
from workstation.core.machine.machine import Machine
from workstation.core.provision import cloud, keys, passwords, seed
from workstation.core.provision.cloud import Supplies
from workstation.core.workstation import Workstation
from workstation.errors import (
    InvalidError,
    LaunchError,
    MonitorError,
    NotAllowedError,
    NotFoundError,
    UsageError,
    WaitTimeoutError,
)
from workstation.model.machine import State
from workstation.model.profile import Profile
from workstation.paths import MachinePaths, Paths
from workstation.profile.load import parse_definition, parse_profile
from workstation.profile.problems import ProfileError
from workstation.qemu import line_log

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHHl4MHUpBcZ8GkgGUrYrYQUWBbWrWrKFQ7GGtO0bRnb me@here"
SECRET = "correct horse"


def words_of(given: Supplies, **provision: object) -> dict[str, Any]:
    text = cloud.user_data(tiny(provision=provision), given)
    assert text.startswith("#cloud-config\n")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def given(**more: Any) -> Supplies:
    return Supplies(name="web", token="0123abcd", **more)


def files_on(disc: Path) -> tuple[str, dict[str, bytes]]:
    """A disc's label and files, by their full names."""
    image = PyCdlib()
    image.open(str(disc))
    found = {}
    for child in image.list_children(rr_path="/"):
        if child.is_file():
            name = child.rock_ridge.name().decode()
            held = BytesIO()
            image.get_file_from_iso_fp(held, joliet_path=f"/{name}")
            found[name] = held.getvalue()
    label = image.pvd.volume_identifier.decode().strip()
    image.close()
    return label, found


# -- the words --------------------------------------------------------------------


def test_a_user_with_keys_and_a_password() -> None:
    (user,) = words_of(given(keys=[KEY], password="$6$salt$hash"), user="maria", password="x")[
        "users"
    ]
    assert user["name"] == "maria"
    assert user["ssh_authorized_keys"] == [KEY]
    assert (user["lock_passwd"], user["hashed_passwd"]) == (False, "$6$salt$hash")


def test_root_is_no_new_user() -> None:
    words = words_of(given(keys=[KEY], password="$6$salt$hash"), user="root", password="x")
    assert "users" not in words
    assert words["disable_root"] is False
    assert words["ssh_authorized_keys"] == [KEY]
    assert words["chpasswd"]["users"] == [
        {"name": "root", "password": "$6$salt$hash", "type": "hash"}
    ]


def test_everything_else_that_can_be_asked_for() -> None:
    words = words_of(
        given(sources={"/etc/icon": b"\x89PNG"}),
        hostname="web.example.org",
        packages=["nginx"],
        timezone="Europe/Vienna",
        keyboard="de-nodeadkeys",
        files=[
            {"path": "/etc/icon", "source": "~/icon", "mode": "0600"},
            {"path": "/home/maria/a", "content": "b: [", "owner": "maria:users"},
        ],
        run=["echo 'a: b' >/x"],
    )
    assert (words["hostname"], words["fqdn"]) == ("web", "web.example.org")
    assert (words["packages"], words["package_update"]) == (["nginx"], True)
    assert words["timezone"] == "Europe/Vienna"
    assert words["keyboard"] == {"layout": "de", "variant": "nodeadkeys"}
    icon, note = words["write_files"]
    assert (icon["content"], icon["permissions"], icon["owner"]) == (
        b"\x89PNG",
        "0600",
        "root:root",
    )
    assert (note["content"], note["owner"], note["defer"]) == ("b: [", "maria:users", True)
    assert words["runcmd"] == ["echo 'a: b' >/x"]
    assert words["final_message"] == cloud.finished("0123abcd")


@pytest.mark.parametrize(
    ("writable", "mode", "options"),
    [
        (False, "9p", "nofail,ro,trans=virtio,version=9p2000.L,msize=262144"),
        (True, "virtiofs", "nofail,rw"),
    ],
)
def test_a_share_is_mounted_at_each_boot(writable: bool, mode: str, options: str) -> None:
    profile = tiny(
        shares=[{"path": "/srv", "tag": "work", "mode": mode, "writable": writable}],
        provision={"mounts": [{"share": "work", "path": "/mnt/my work"}]},
    )
    (command,) = yaml.safe_load(cloud.user_data(profile, given()))["runcmd"]
    assert f"'work /mnt/my\\040work {mode} {options} 0 0'" in command
    assert command.startswith("mkdir -p '/mnt/my work'; ")
    assert command.endswith("; mount '/mnt/my work'")


# -- keys and passwords -------------------------------------------------------------


def test_a_password_becomes_a_hash_that_others_make_too() -> None:
    made = passwords.hashed(SECRET)
    assert made.startswith("$6$") and SECRET not in made
    salt = made.split("$")[2]
    call = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
    other = subprocess.run(call, input=SECRET, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == made
    assert passwords.hashed(SECRET) != made
    assert passwords.hashed(made) == made


def test_a_made_key_is_one_that_openssh_takes(tmp_path: Path) -> None:
    pair = keys.make_pair("workstation-web")
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text(pair.private)
    call = ["ssh-keygen", "-y", "-f", str(file)]
    said = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    assert said.split()[:2] == pair.public.split()[:2]


def test_own_keys_are_those_that_ssh_offers(tmp_path: Path) -> None:
    provision = tiny(provision={"user": "maria"}).provision
    found, pair = keys.login_keys(provision, tmp_path, "web")
    assert pair and found == [pair.public]
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(f"{KEY}\n")
    (tmp_path / ".ssh" / "id_rsa.pub").write_text("ssh-rsa no key\nruncmd: [evil]\n")
    (tmp_path / ".ssh" / "id_ed25519").write_text("private")
    assert keys.login_keys(provision, tmp_path, "web") == ([KEY], None)
    own = provision.model_copy(update={"ssh_key": "own"})
    with pytest.raises(NotFoundError, match="no key in"):
        keys.login_keys(own, tmp_path / "else", "web")


# -- the profile --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("provision: {usr: x}", "did you mean “user”"),
        ("provision: {user: Maria}", "a login name"),
        ("provision: {password: x}", "password needs a user"),
        ("provision: {files: [{path: /a}]}", "either a content or a source"),
        ("provision: {files: [{path: a, content: b}]}", "an absolute path in the guest"),
        ("provision: {mounts: [{share: x, path: /mnt}]}", "no share with the tag “x”"),
        ("provision: {ssh_keys: [hello], user: a}", "a public SSH key"),
        ("provision: {timezone: ../etc}", "a time zone"),
        ("provision: {packages: [--force]}", "a package's name"),
        ("provision: {answers: {kind: preseed, path: /a}}", "boot.initrd is missing"),
        (
            "provision: {answers: {kind: ignition, path: /a}, packages: [a]}",
            "answers take the place",
        ),
        ("provision: {answers: {kind: ignition}}", "this key is missing"),
        ("cdroms: [{}, {}, {}, {}]\nprovision: {packages: [a]}", "no room for one more"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(ProfileError) as raised:
        parse_profile(f"name: a\n{text}\n", "a.yaml")
    assert said in raised.value.details


def test_a_machine_that_is_there_is_not_set_up_anew() -> None:
    head = f"uuid: {uuid4()}\ncreated: 2026-01-01T00:00:00Z\n"
    text = head + "profile:\n  name: a\n  provision: {user: maria, run: [date]}\n"
    with pytest.raises(ProfileError) as raised:
        parse_definition(text, "machine.yaml")
    assert "profile.provision.run" in raised.value.details
    assert parse_definition(text.replace(", run: [date]", ""), "m").profile.provision.user


# -- what a new machine gets --------------------------------------------------------


def asked(**provision: object) -> Profile:
    return tiny(drives=[{"size": "1 MiB"}], provision=provision)


async def test_the_disc_is_in_the_machine_and_its_words_are_nowhere_else(
    station: Workstation, paths: Paths, home: Path
) -> None:
    (home / "note").write_text("from the host")
    profile = asked(
        user="maria",
        password=SECRET,
        files=[{"path": "/note", "source": "~/note"}],
        run=["echo very private"],
    )
    await station.create("web", profile)
    machine = paths.machine("web")
    label, files = files_on(seed.disc(machine))
    assert label == "cidata"
    words = yaml.safe_load(files["user-data"])
    assert words["write_files"][0]["content"] == b"from the host"
    made = yaml.safe_load(files["meta-data"])
    assert made["local-hostname"] == "web"
    hashed = words["users"][0]["hashed_passwd"]
    assert hashed.startswith("$6$")

    # The host's key is known, and the guest will have it.
    public = words["ssh_keys"]["ed25519_public"]
    assert (machine.ssh / "known_hosts").read_text() == f"web.vm {' '.join(public.split()[:2])}\n"
    assert (machine.ssh / "id_ed25519").stat().st_mode & 0o077 == 0

    private = words["ssh_keys"]["ed25519_private"].splitlines()[2]
    for file in paths.data.rglob("*"):
        if file.is_file() and machine.seed not in file.parents:
            content = file.read_bytes()
            for secret in (SECRET, hashed, "very private", private, "from the host"):
                assert secret.encode() not in content, file
    for file in (machine.seed, *machine.seed.iterdir()):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
    assert SECRET.encode() not in files["user-data"]

    kept = station.view("web").profile
    assert kept and kept.provision.user == "maria" and not kept.provision.beyond_user
    assert len(kept.cdroms) == 1
    assert station.view("web").unfinished


async def test_ssh_has_a_way_in_that_is_the_machines_own(station: Workstation) -> None:
    user = {"user": "maria"}
    for name in ("web", "two"):
        await station.create(name, tiny(networks=[{}], provision=user))
    rules = [station.machine(name).definition.profile.networks[0].forwards  # type: ignore[union-attr]
             for name in ("web", "two")]  # fmt: skip
    assert [rule.guest for (rule,) in rules] == [22, 22]
    assert rules[0][0].host != rules[1][0].host
    own = [{"forwards": ["2200-2230:1-31"]}]
    await station.create("own", tiny(networks=own, provision=user))
    kept = station.view("own").profile
    assert kept and [str(rule) for rule in kept.networks[0].forwards] == ["2200-2230:1-31"]
    await station.create("cut-off", tiny(networks=[{"mode": "none"}], provision=user))


async def test_a_second_adapter_is_set_up_too_and_its_domain_is_searched(
    station: Workstation, paths: Paths
) -> None:
    lab = {"mode": "private", "name": "lab"}
    await station.create("one", tiny(networks=[{}, {"mode": "none"}], provision={"user": "maria"}))
    assert "network-config" not in files_on(seed.disc(paths.machine("one")))[1]
    networks = [{}, {"mode": "none"}, lab]
    await station.create("two", tiny(networks=networks, provision={"user": "maria"}))
    kept = station.view("two").profile
    assert kept
    files = files_on(seed.disc(paths.machine("two")))[1]
    adapters = yaml.safe_load(files["network-config"])["ethernets"]
    assert list(adapters) == ["net0", "net2"]
    assert adapters["net2"]["match"] == {"macaddress": kept.networks[2].mac}
    assert adapters["net2"]["dhcp4-overrides"] == {"use-domains": True}


async def test_the_drive_of_its_disc_stays_until_it_has_done_its_work(station: Workstation) -> None:
    await station.create("web", tiny(provision={"user": "maria"}))
    with pytest.raises(NotAllowedError, match="CD drive 0 has the disc"):
        await station.changes.set("web", ["cdroms[0]=null"])
    await station.guests.forget_setup("web")
    await station.changes.set("web", ["cdroms[0]=null"])
    kept = station.view("web").profile
    assert kept and not kept.cdroms


async def test_nothing_of_it_is_in_a_bundle_or_a_layer(
    station: Workstation, paths: Paths, home: Path
) -> None:
    await station.create("web", asked(user="maria", password=SECRET, ssh_key="machine"))
    machine = paths.machine("web")
    words = yaml.safe_load(files_on(seed.disc(machine))[1]["user-data"])
    hashed, key = words["users"][0]["hashed_passwd"], (machine.ssh / "id_ed25519").read_text()
    await station.layers.snapshot("web", "one")
    await station.carry.export("web", home / "web.vmbundle")
    for file in (home / "web.vmbundle", *paths.layers.rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            for secret in (hashed, key.splitlines()[2], seed.read(machine).token):  # type: ignore[union-attr]
                assert secret.encode() not in content, file


def test_a_strangers_bundle_sets_nothing_up() -> None:
    profile = asked(user="maria", run=["curl evil | sh"], files=[{"path": "/a", "source": "~/b"}])
    clean = stripped(profile)
    assert clean.profile.provision.chosen() == {"user"}
    assert "what its system was to be set up with" in clean.left_out


async def test_what_is_not_there_leaves_no_machine(station: Workstation, home: Path) -> None:
    missing = asked(files=[{"path": "/a", "source": str(home / "none")}])
    with pytest.raises(NotFoundError, match="there is no file"):
        await station.create("web", missing)
    (home / "big").write_bytes(bytes(2**20 + 1))
    with pytest.raises(InvalidError, match="more than 1 MiB"):
        await station.create("web", asked(files=[{"path": "/a", "source": str(home / "big")}]))
    assert not station.machines
    assert not list(station.paths.making.glob("*"))


async def with_answers(station: Workstation, kind: str, content: str) -> MachinePaths:
    file = station.paths.data / "answers"
    file.write_text(content)
    await station.create("web", asked(answers={"kind": kind, "path": str(file)}))
    file.unlink()
    return station.paths.machine("web")


@pytest.mark.parametrize(
    ("kind", "content", "label", "name", "written"),
    [
        ("kickstart", "text\n", "OEMDRV", "ks.cfg", b"text\n"),
        ("user-data", "#!/bin/sh\n", "cidata", "user-data", b"#!/bin/sh\n"),
        ("autoinstall", "a: 1\n", "cidata", "user-data", b"#cloud-config\na: 1\n"),
    ],
)
async def test_a_file_of_ones_own_is_passed_as_it_is(
    station: Workstation, kind: str, content: str, label: str, name: str, written: bytes
) -> None:
    machine = await with_answers(station, kind, content)
    found, files = files_on(seed.disc(machine))
    assert (found, files[name]) == (label, written)
    if name == "user-data":
        token = seed.read(machine).token  # type: ignore[union-attr]
        assert token in files["vendor-data"].decode()


@pytest.mark.qemu
async def test_ignition_comes_by_the_firmware(station: Workstation) -> None:
    machine = await with_answers(station, "ignition", json.dumps({"ignition": {}}))
    await station.start("web")
    given = " ".join(json.loads(machine.run.read_text())["argv"])
    assert f"-fw_cfg name=opt/com.coreos/config,file={seed.ignition(machine)}" in given
    assert json.loads(seed.ignition(machine).read_text()) == {"ignition": {}}
    await station.kill("web")


async def test_an_ignition_file_is_json(station: Workstation) -> None:
    with pytest.raises(InvalidError, match="no Ignition file"):
        await with_answers(station, "ignition", "variant: fcos\n")


@pytest.mark.usefixtures("with_appliance")
async def test_a_preseed_file_is_added_to_the_installers_initrd(
    station: Workstation, home: Path
) -> None:
    (home / "preseed.cfg").write_text("d-i debian-installer/locale string de_AT\n")
    boot = {"kernel": "appliance/vmlinuz", "initrd": "appliance/initrd"}
    answers = {"kind": "preseed", "path": "~/preseed.cfg"}
    await station.create("web", tiny(boot=boot, provision={"answers": answers}))
    machine = station.paths.machine("web")
    original, made = machine.initrd.read_bytes(), seed.initrd(machine).read_bytes()
    assert made.startswith(original)
    added = gzip.decompress(made[len(original) :].lstrip(b"\0"))
    assert b"preseed.cfg" in added and b"locale string de_AT" in added


# -- when it is over ----------------------------------------------------------------


@pytest.mark.qemu
async def test_the_disc_is_taken_out_and_away_when_the_guest_says_so(
    station: Workstation, paths: Paths
) -> None:
    await station.create("web", asked(user="maria"))
    machine = paths.machine("web")
    found = seed.read(machine)
    assert found
    await station.start("web")
    assert await discs(station) == ["cdrom0"]
    assert not await station.guests.look("web")
    assert await discs(station) == ["cdrom0"]
    # Its firmware prints nothing there: what the guest will have said is put into its log.
    printed = machine.serial_log
    (part,) = line_log.segments(printed)
    part.path.write_bytes(b"noise\r\n" + cloud.finished(found.token).encode() + b"\r\n")
    assert await station.guests.look("web")
    assert await discs(station) == []
    assert not machine.seed.exists()
    assert not station.view("web").unfinished
    await station.kill("web")
    await station.start("web")
    assert await discs(station) == []
    await station.kill("web")


@pytest.mark.qemu
async def test_a_new_machine_is_ready_when_it_is_set_up(station: Workstation, paths: Paths) -> None:
    await station.create("web", asked(user="maria"))
    machine = paths.machine("web")
    found = seed.read(machine)
    assert found
    await station.start("web")
    with pytest.raises(WaitTimeoutError, match="setup has not come after 1 s"):
        await station.wait_ready("web", timeout=1)
    waiting = asyncio.create_task(station.wait_ready("web"))
    (part,) = line_log.segments(machine.serial_log)
    part.path.write_bytes(cloud.finished(found.token).encode() + b"\r\n")
    await waiting
    assert not machine.seed.exists() and await discs(station) == []
    # From then on there is nothing more to wait for.
    await station.wait_ready("web", timeout=60)
    await station.kill("web")


async def discs(station: Workstation) -> list[str]:
    """The nodes of what is in its CD drives."""
    monitor = station.machine("web").monitor
    assert monitor
    blocks = await monitor.execute("query-block")
    held = [one["inserted"]["node-name"] for one in blocks if "inserted" in one]
    return [node for node in held if node.startswith("cdrom")]


@pytest.mark.qemu
async def test_what_sets_it_up_can_be_forgotten(station: Workstation, paths: Paths) -> None:
    await station.create("web", asked(user="maria"))
    await station.guests.forget_setup("web")
    assert not paths.machine("web").seed.exists()
    with pytest.raises(NotFoundError):
        await station.guests.forget_setup("web")
    await station.start("web")
    assert await discs(station) == []
    await station.kill("web")


def test_a_seed_that_was_half_removed_is_none(tmp_path: Path) -> None:
    machine = MachinePaths(tmp_path, tmp_path)
    assert seed.read(machine) is None
    machine.seed.mkdir()
    assert seed.read(machine) is None
    (machine.seed / "about.json").write_text('{"kind": 1')
    assert seed.read(machine) is None
    seed.remove(machine)
    assert not machine.seed.exists()


@pytest.mark.qemu
async def test_a_way_in_is_made_where_there_is_none(station: Workstation) -> None:
    await station.create("web", tiny(networks=[{"mode": "none"}, {}]))
    await station.start("web")
    assert station.view("web").forwards == ()
    door = await station.guests.door("web", "maria")
    (rule,) = station.view("web").forwards
    assert (rule.host, rule.guest) == (door.port, 22)
    assert await station.guests.door("web", "maria") == door
    with pytest.raises(WaitTimeoutError, match="port:22 has not come"):
        await station.guests.wait_for("web", "port:22", timeout=0.5)
    names = await asyncio.to_thread(station.guests.write_ssh_config)
    assert names == ["web"]
    assert f"Port {door.port}\n" in station.paths.ssh_config.read_text()
    await station.kill("web")


@pytest.mark.qemu
async def test_what_cannot_come_is_not_waited_for(station: Workstation) -> None:
    await station.create("web", tiny())
    with pytest.raises(LaunchError, match="agent will not come"):
        await station.guests.wait_for("web", "agent", timeout=60)
    with pytest.raises(UsageError, match="cannot be waited for"):
        await station.guests.wait_for("web", "moon", timeout=60)
    await station.start("web")
    with pytest.raises(NotAllowedError, match="no port of this computer leads to port 80"):
        await station.guests.wait_for("web", "port:80", timeout=60)
    with pytest.raises(WaitTimeoutError, match="nothing in “web” listens"):
        await station.guests.facts("web")
    await station.guests.refresh("web")
    assert station.view("web").guest is None
    await station.kill("web")
    with pytest.raises(NotAllowedError, match="only a running guest"):
        await station.guests.run("web", ["true"])


@pytest.mark.qemu
async def test_file_systems_that_a_killed_front_end_held_are_let_go(
    station: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await station.create("web", tiny(drives=[{"size": "1 MiB"}]))
    await station.start("web")
    let_go: list[str] = []

    async def noted(machine: Machine) -> None:
        let_go.append(machine.name)

    monkeypatch.setattr(mend, "let_go", noted)
    for still in (False, True):
        cut_off = mend.Pending(running=True, still=still)
        station.paths.machine("web").pending.write_text(json.dumps(cut_off._asdict()))
        await station.layers.snapshot("web", f"after-{still}".lower())
    assert let_go == ["web"]
    await station.machine("web").until(lambda view: view.state is State.RUNNING)
    await station.kill("web")


@pytest.mark.qemu
async def test_a_snapshot_of_the_disks_holds_them_and_always_lets_go(
    station: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await station.create("web", tiny(drives=[{"size": "1 MiB"}]))
    await station.start("web")
    happened: list[str] = []

    async def held(_: Machine) -> bool:
        happened.append("held")
        return True

    async def noted(machine: Machine) -> None:
        assert await freeze.is_running(freeze.monitor_of(machine))
        happened.append("let go")

    async def fails(*_: object) -> None:
        raise MonitorError("not now")

    monkeypatch.setattr(freeze, "hold", held)
    for module in (freeze, mend):
        monkeypatch.setattr(module, "let_go", noted)
    await station.layers.snapshot("web", "with-memory")
    assert happened == []
    await station.layers.snapshot("web", "disks", memory=False)
    assert happened == ["held", "let go"]
    monkeypatch.setattr(freeze, "_stand_still", fails)
    with pytest.raises(MonitorError, match="not now"):
        await station.layers.snapshot("web", "fails", memory=False)
    assert happened == ["held", "let go"] * 2
    await station.kill("web")


async def test_a_copy_of_what_is_not_set_up_yet_is_told(station: Workstation) -> None:
    await station.create("web", asked(user="maria"))
    await station.layers.clone("web", "two")
    assert any("its copy will not be" in line.text for line in station.log)
    assert not station.paths.machine("two").ssh.exists()
    assert not station.view("two").unfinished
    await station.guests.forget_setup("web")
    await station.layers.clone("web", "three")
    assert (station.paths.machine("three").ssh / "known_hosts").exists()

"""USB devices of this computer: what is listed, who may hand them over, and what the guest gets."""

from pathlib import Path

import pytest

from tests.conftest import tiny
from workstation.core.host import media, usb
from workstation.core.workstation import Workstation
from workstation.errors import HostError, NotFoundError
from workstation.model.change import When
from workstation.model.usb import in_ports


def plug(root: Path, name: str, **files: str) -> None:
    """A device as sysfs shows it."""
    directory = root / "sys" / name
    directory.mkdir(parents=True)
    for key, value in files.items():
        (directory / key).write_text(f"{value}\n")


@pytest.fixture
def computer(tmp_path: Path) -> tuple[Path, Path]:
    """Two devices, a hub, an interface, and one that goes away while it is looked at."""
    common = {"bDeviceClass": "00", "busnum": "1"}
    plug(tmp_path, "1-2", **common, idVendor="046D", idProduct="c52b", devnum="7",
         manufacturer="Logi\x1b[31m", product="Receiver")  # fmt: skip
    plug(tmp_path, "1-1", **common, idVendor="0951", idProduct="1666", devnum="3")
    plug(tmp_path, "usb1", **{**common, "bDeviceClass": "09"}, idVendor="1d6b", idProduct="0002",
         devnum="1")  # fmt: skip
    plug(tmp_path, "1-1:1.0", bInterfaceNumber="00")
    plug(tmp_path, "1-9", **common, idVendor="0951", idProduct="1666")
    node = tmp_path / "dev" / "001" / "007"
    node.parent.mkdir(parents=True)
    node.touch()
    return tmp_path / "sys", tmp_path / "dev"


def test_what_is_plugged_in_is_listed_without_hubs_and_made_safe(
    computer: tuple[Path, Path],
) -> None:
    found = usb.plugged_in(*computer)
    assert [device.kind for device in found] == ["0951:1666", "046d:c52b"]
    assert "\x1b" not in found[1].name
    assert "Receiver" in found[1].name
    assert [device.usable for device in found] == [False, True]
    assert usb.plugged_in(computer[0] / "none") == []


def test_a_closed_device_names_the_rule_that_opens_it(computer: tuple[Path, Path]) -> None:
    assert usb.check_usable("046d:c52b", *computer) == ""
    assert "not plugged in" in usb.check_usable("dead:beef", *computer)
    with pytest.raises(HostError, match="you may not use") as caught:
        usb.check_usable("0951:1666", *computer)
    assert 'ATTR{idVendor}=="0951"' in caught.value.hint
    assert 'TAG+="uaccess"' in caught.value.hint


def test_a_stick_that_is_mounted_here_is_not_taken_away(
    computer: tuple[Path, Path], tmp_path: Path
) -> None:
    partition = computer[0] / "1-2" / "1-2:1.0" / "block" / "sdq" / "sdq1"
    partition.mkdir(parents=True)
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "sdq1").symlink_to(partition)
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text("36 1 8:1 / /media/STICK rw - vfat /dev/sdq1 rw\n")
    host = media.Host(mountinfo, tmp_path / "blocks", tmp_path, usage=lambda _: (1, 1))
    with pytest.raises(HostError, match="in use here: /media/STICK is on it") as caught:
        usb.check_usable("046d:c52b", *computer, host)
    assert "umount /media/STICK" in caught.value.hint
    with pytest.raises(HostError, match="in use here"):
        usb.at_start(["0951:1666", "046d:c52b"], *computer, host)
    mountinfo.write_text("")
    assert usb.check_usable("046d:c52b", *computer, host) == ""


def test_a_start_says_what_its_guest_does_not_get(computer: tuple[Path, Path]) -> None:
    absent, closed = usb.at_start(["dead:beef", "046d:c52b", "0951:1666"], *computer)
    assert absent.startswith("dead:beef is not plugged in")
    assert "70-workstation.rules" in closed


@pytest.mark.qemu
async def test_a_device_is_attached_and_detached_while_the_guest_runs(
    station: Workstation,
) -> None:
    await station.create("one", tiny())
    await station.start("one")

    async def names() -> set[str]:
        monitor = station.machine("one").monitor
        assert monitor
        found = await monitor.execute("qom-list", path="/machine/peripheral")
        return {device["name"] for device in found if device["name"].startswith("usb-")}

    (effect,) = await station.changes.give_usb("one", "dead:beef")
    assert effect.when is When.NOW
    assert "not plugged in" in effect.note
    assert await names() == {"usb-dead-beef"}
    with pytest.raises(NotFoundError, match="no USB device"):
        await station.changes.take_usb("one", "dead:0000")
    # The next start, and one from memory, have it too.
    await station.layers.suspend("one")
    await station.start("one")
    assert await names() == {"usb-dead-beef"}
    await station.changes.take_usb("one", "dead:beef")
    assert await names() == set()
    assert "dead:beef" not in station.definition_text("one")


@pytest.mark.qemu
async def test_memory_goes_on_whatever_was_plugged_in_and_pulled_out_before(
    station: Workstation,
) -> None:
    await station.create("one", tiny(usb=["dead:0001", "dead:0002"]))
    await station.start("one")
    await station.changes.take_usb("one", "dead:0001")
    await station.changes.give_usb("one", "dead:0003")
    await station.changes.take_usb("one", "dead:0002")
    await station.changes.give_usb("one", "DEAD:0002")
    await station.layers.snapshot("one", "kept")
    await station.changes.take_usb("one", "dead:0003")
    await station.layers.suspend("one")
    await station.start("one")
    await station.layers.revert("one", "kept")
    monitor = station.machine("one").monitor
    assert monitor
    assert station.view("one").state.live
    found = await monitor.execute(
        "qom-get", path="/machine/peripheral/usb-dead-0002", property="port"
    )
    assert found == "3"


def test_a_device_stays_in_its_port() -> None:
    assert in_ports(["dead:0001", "dead:0002"], tablet=True) == ("dead:0001@2", "dead:0002@3")
    kept = in_ports(["dead:0002", "dead:0003"], tablet=True, now=["dead:0001@2", "dead:0002@3"])
    assert kept == ("dead:0002@3", "dead:0003@2")
    assert in_ports(["dead:0001", "dead:0002@1"], tablet=False) == ("dead:0001@2", "dead:0002@1")
    full = [f"dead:000{number}" for number in range(4)]
    assert in_ports(full, tablet=True)[3] == "dead:0003"


@pytest.mark.parametrize(
    ("usb", "tablet", "words"),
    [
        (["dead:0001", "dead:0001@3"], True, "“dead:0001” is also given"),
        (["dead:0001@2", "dead:0002@2"], True, "“port 2” is also given"),
        (["dead:0001@1"], True, "“port 1” is also given"),
        ([f"dead:000{number}" for number in range(4)], True, "has 4 ports"),
    ],
)
def test_a_port_takes_one_device(usb: list[str], tablet: bool, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tiny(usb=usb, devices={"usb_tablet": tablet})

"""The appliance: built from real packages, booted by real QEMU under tcg."""

import asyncio
import hashlib
import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from workstation.core.images import Image, Images
from workstation.paths import Paths

pytestmark = pytest.mark.qemu

COMMAND_LINE = (
    "console=tty0 console=ttyS0 quiet nokaslr mitigations=off cryptomgr.notests no_timer_check"
)
PATIENCE = 30.0
PROMPT = r"demo\S*:\S*~\S*# "


@pytest.fixture(scope="module")
def paths(request: pytest.FixtureRequest) -> Paths:
    """Downloaded packages outlive the session, so that the next one needs no network."""
    cache = request.config.cache
    assert cache
    root = cache.mkdir("appliance")
    return Paths(*(root / name for name in ("data", "config", "cache", "run")))


@pytest.fixture(scope="module")
def image(paths: Paths) -> Image:
    return asyncio.run(Images(paths).build("appliance"))


class Guest:
    """QEMU with the appliance in it, its serial line and its monitor."""

    def __init__(
        self,
        image: Image,
        *options: str,
        machine: str = "q35",
        memory: int = 128,
        virtio: bool = False,
    ) -> None:
        """`virtio` makes its line a virtio console."""
        line = (
            ("-device", "virtio-serial-pci", "-device", "virtconsole,chardev=serial,nr=0")
            if virtio
            else ("-serial", "chardev:serial")
        )
        self._serial, serial = socket.socketpair()
        monitor_socket, monitor = socket.socketpair()
        self._text = b""
        self._more = threading.Condition()
        self._process = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
                *("-machine", machine, "-accel", "tcg", "-cpu", "Nehalem", "-m", str(memory)),
                *("-kernel", str(image.path / "vmlinuz"), "-initrd", str(image.path / "initrd")),
                *("-append", f"{COMMAND_LINE} hostname=demo"),
                *("-chardev", f"socket,id=serial,fd={serial.fileno()}"),
                *line,
                *("-chardev", f"socket,id=monitor,fd={monitor.fileno()}"),
                *("-mon", "chardev=monitor,mode=control"),
                *("-device", "VGA", "-device", "pvpanic", "-action", "panic=pause"),
                *options,
            ],
            pass_fds=(serial.fileno(), monitor.fileno()),
        )
        serial.close()
        monitor.close()
        threading.Thread(target=self._read, daemon=True).start()
        monitor_socket.settimeout(PATIENCE)
        self._sockets = [self._serial, monitor_socket]
        self._monitor = monitor_socket.makefile("rwb", buffering=0)
        self._answer("QMP")
        self.tell("qmp_capabilities")

    def _read(self) -> None:
        # Always: a guest whose serial line is full waits for it.
        while data := self._serial.recv(65536):
            with self._more:
                self._text += data
                self._more.notify_all()

    def until(self, pattern: str) -> re.Match[str]:
        """Wait for it on the serial line; what came before it is gone then."""
        deadline = time.monotonic() + PATIENCE
        with self._more:
            while not (match := re.search(pattern, self._text.decode(errors="replace"))):
                assert self._more.wait(deadline - time.monotonic()), f"{pattern}: {self._text!r}"
            self._text = match.string[match.end() :].encode()
            return match

    def type(self, text: str) -> None:
        self._serial.sendall(text.encode())

    def run(self, command: str) -> str:
        """What a command prints, at the prompt."""
        # The quotes keep the mark out of the echo of what is typed.
        self.type(f"{command}; echo 'e'nd\n")
        match = self.until(r"(?s)'e'nd\r\n(.*)end\r\n")
        self.until(PROMPT)
        return match[1].replace("\r\n", "\n")

    def boot(self) -> str:
        before = self.until(r"(?s)(.*)\nappliance ready\r\n")[1]
        self.until(PROMPT)
        # Wide enough that what is typed is not broken into lines.
        self.type("stty cols 500\n")
        self.until(PROMPT)
        return before

    def tell(self, command: str, **arguments: object) -> Any:
        words = {"execute": command, "arguments": arguments}
        self._monitor.write(json.dumps(words).encode() + b"\n")
        return self._answer("return")["return"]

    def event(self, name: str) -> None:
        while self._answer("event")["event"] != name:
            pass

    def _answer(self, key: str) -> dict[str, Any]:
        line = bytearray()
        while True:
            data = self._monitor.read(1)
            assert data, "QEMU has closed its monitor"
            line += data
            if data == b"\n":
                said: dict[str, Any] = json.loads(line)
                assert "error" not in said, said
                if key in said:
                    return said
                line.clear()

    def ended(self) -> int:
        """QEMU's exit status, once it has ended by itself."""
        return self._process.wait(PATIENCE)

    def cut_power(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.cut_power()
        for one in self._sockets:
            one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._monitor.close()


Boot = Callable[..., Guest]


@pytest.fixture
def boot(image: Image) -> Iterator[Boot]:
    guests: list[Guest] = []

    def start(*options: str, **settings: Any) -> Guest:
        guests.append(Guest(image, *options, **settings))
        return guests[-1]

    yield start
    for guest in guests:
        guest.close()


def disk(path: Path) -> tuple[str, ...]:
    file = {"driver": "file", "filename": str(path), "discard": "unmap"}
    node = {"driver": "raw", "node-name": "disk", "discard": "unmap", "file": file}
    return ("-blockdev", json.dumps(node), "-device", "virtio-blk-pci,drive=disk")


def network(port: int) -> tuple[str, ...]:
    rule = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:80"
    return ("-netdev", rule, "-device", "virtio-net-pci,netdev=net,romfile=")


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def page(guest: Guest, port: int, path: str = "/") -> str:
    # The shell does not wait for the network; the guest says itself when the page is up.
    guest.run("until wget -q -O /dev/null localhost/cgi-bin/status; do usleep 50000; done")
    guest.run("until ip -4 addr show eth0 | grep -q inet; do usleep 50000; done")
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        text: str = answer.read().decode()
    return text


@pytest.mark.long
async def test_two_builds_at_once_leave_one_whole_image_and_no_old_file_changed(
    paths: Paths, image: Image, tmp_path: Path
) -> None:
    # A second name needs the same file system; pytest's directory may be on another.
    kept = paths.cache / f"kept-{tmp_path.name}"
    kept.unlink(missing_ok=True)
    kept.hardlink_to(image.path / "initrd")
    images = Images(paths)
    steps: list[float] = []
    await asyncio.gather(
        images.build("appliance", lambda _, part: steps.append(part)), images.build("appliance")
    )
    now = images.get("appliance")
    assert now
    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == image.files["initrd"]
    assert not (now.path / "initrd").samefile(kept)
    assert sorted(path.name for path in paths.images.iterdir()) == [".lock", "appliance"]
    for name, digest in now.files.items():
        assert hashlib.sha256((now.path / name).read_bytes()).hexdigest() == digest
    assert now.ready == "appliance ready"
    assert now.kernel in "".join(now.packages)
    assert await images.ensure("appliance") == now


def test_the_demo_answers_counts_its_visits_and_ends_by_its_power_button(
    boot: Boot, tmp_path: Path, port: int
) -> None:
    data = tmp_path / "data.raw"
    with data.open("wb") as stream:
        os.truncate(stream.fileno(), 256 * 2**20)
    guest = boot(*disk(data), *network(port))
    assert "help" in guest.boot()
    assert guest.run("echo $((6*7))") == "42\n"
    first = page(guest, port)
    assert "<h1>demo</h1>" in first
    assert '<p id="visits">1</p>' in first
    assert '<p id="visits">2</p>' in page(guest, port)
    numbers = json.loads(page(guest, port, "/cgi-bin/status"))
    assert numbers["memory_total"] < 128 * 1024
    assert numbers["received"] > 0
    assert "ext4" in guest.run("grep /data /proc/mounts")
    assert "/dev/vda, kept between boots" in guest.run("help")
    guest.tell("system_powerdown")
    assert guest.ended() == 0

    again = boot(*disk(data), *network(port))
    again.boot()
    assert '<p id="visits">3</p>' in page(again, port)
    assert again.run("cat /var/log/boot") == ""
    # Not even a power cut loses a visit.
    again.cut_power()
    third = boot(*disk(data), *network(port))
    third.boot()
    assert '<p id="visits">4</p>' in page(third, port)
    third.type("panic\n")
    third.event("GUEST_PANICKED")
    assert third.tell("query-status")["status"] == "guest-panicked"


@pytest.mark.long
def test_a_shell_without_disk_and_network_works_as_a_terminal_does(boot: Boot) -> None:
    guest = boot(machine="pc")
    guest.boot()
    assert "no disk: /data is in memory" in guest.run(
        "until [ -s /run/data ]; do usleep 50000; done; cat /run/data"
    )
    # Said by the program itself: it is in the foreground then, where the key finds it.
    guest.type("sh -c 'echo $((6*7)); exec sleep 1000'\n")
    guest.until(r"42\r\n")
    guest.type("\x03")
    guest.until(PROMPT)
    assert guest.run("tty; echo $TERM") == "/dev/ttyS0\nxterm-256color\n"
    guest.type("resize\n")
    guest.until(r"\x1b\[999;999H\x1b\[6n")
    guest.type("\x1b[40;132R")
    # Ours says the first; a busybox that has one of its own, as Debian 14's, the second.
    guest.until("132 columns, 40 rows|COLUMNS=132;LINES=40;")
    guest.until(PROMPT)
    assert guest.run("stty size") == "40 132\n"
    assert "2 at work" in guest.run("load 1 2")
    assert "usage" in guest.run("load forever")
    guest.type("exit\n")
    # The shell comes back with its greeting, and is not announced a second time.
    assert "appliance ready" not in guest.until(f"(?s)(.*){PROMPT}")[1]
    guest.type("poweroff\n")
    assert guest.ended() == 0


@pytest.mark.long
def test_a_virtio_console_has_a_shell_too(boot: Boot) -> None:
    guest = boot(virtio=True)
    guest.boot()
    assert guest.run("tty; echo $TERM; stty size") == "/dev/hvc0\nxterm-256color\n24 500\n"
    guest.type("echo $((6*7)); sleep 1000\n")
    guest.until(r"42\r\n")
    guest.type("\x03")
    guest.until(PROMPT)
    assert guest.run("stty rows 40 cols 132; stty size") == "40 132\n"
    guest.type("exit\n")
    assert "appliance ready" not in guest.until(f"(?s)(.*){PROMPT}")[1]


@pytest.mark.parametrize(
    ("tail", "start", "outcome"),
    [
        (b"", b"somebody's data", "left alone"),
        (b"appliance-is-formatting-this-disk\n", b"half a file system", "kept between boots"),
    ],
)
def test_a_disk_is_formatted_only_when_nothing_is_lost(
    boot: Boot, tmp_path: Path, tail: bytes, start: bytes, outcome: str
) -> None:
    data = tmp_path / "data.raw"
    size = 64 * 2**20
    data.write_bytes(start + bytes(size - 512 - len(start)) + tail + bytes(512 - len(tail)))
    guest = boot(*disk(data))
    guest.boot()
    said = guest.run("until [ -s /run/data ]; do usleep 50000; done; cat /run/data")
    assert outcome in said
    guest.tell("quit")
    # The magic number of ext4's superblock.
    assert (data.read_bytes()[1080:1082] == b"\x53\xef") == (outcome == "kept between boots")

"""A real Debian is set up by its profile, and worked in: by its agent, by ssh, by scp.

It boots once, which takes minutes without KVM; so what is worked in it is one test, part by part.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_debian_guest import PATIENCE
from workstation.core.provision import seed
from workstation.core.workstation import Workstation
from workstation.errors import WaitTimeoutError
from workstation.model.layer import Layer
from workstation.model.profile import Profile
from workstation.qemu.blockdev import DiskFile

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.long,
    pytest.mark.timeout(2400),
    pytest.mark.usefixtures("with_debian"),
]

PASSWORD = "a good one"


def shop(share: Path) -> Profile:
    return Profile.model_validate(
        {
            "name": "shop",
            "memory": "1 GiB",
            "cpu": {"cores": 2},
            "drives": [{"image": "debian", "size": "6 GiB"}],
            "display": {"adapter": "none"},
            "networks": [{}, {"mode": "private", "name": "lab"}],
            "shares": [{"path": str(share), "tag": "work", "mode": "9p"}],
            "provision": {
                "user": "maria",
                "ssh_key": "machine",
                "password": PASSWORD,
                "hostname": "till",
                "timezone": "Europe/Vienna",
                "keyboard": "de",
                "files": [
                    {"path": "/etc/shop", "content": "open: [9, 18]\n"},
                    {"path": "/home/maria/mine", "content": "x", "owner": "maria"},
                ],
                "run": ['echo "$(id -un) read $(cat /etc/shop)" >/root/ran'],
                "mounts": [{"share": "work", "path": "/mnt/work"}],
            },
        }
    )


async def shell(station: Workstation, words: str) -> str:
    """What a command in the guest prints; the agent runs it."""
    ran = await station.guests.run("till", ["sh", "-c", words], timeout=PATIENCE)
    assert ran.code == 0, ran
    return ran.out.decode().strip()


async def called(*words: str, given: str = "") -> tuple[int, str, str]:
    """The command line, as a person calls it: exit code, output, errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workstation", *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate(given.encode())
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_real_debian_is_set_up_and_worked_in(station: Workstation, home: Path) -> None:
    share = home / "share"
    share.mkdir()
    (share / "hello").write_text("from the host\n")
    await station.create("till", shop(share))
    await station.start("till")
    assert station.view("till").unfinished

    await station.guests.wait_for("till", "text:login:", timeout=PATIENCE)
    await station.guests.wait_for("till", "setup", timeout=PATIENCE)
    await station.guests.wait_for("till", "agent", timeout=PATIENCE)
    await station.guests.wait_for("till", "port:22", timeout=PATIENCE)

    await the_profile_has_been_carried_out(station)
    await the_disc_is_gone(station)
    await the_agent_says_where_it_is(station)
    await commands_bring_their_codes(station)
    await ssh_logs_in(station)
    await files_are_copied_both_ways(home)
    await disks_alone_are_frozen_clean(station, home)
    await station.kill("till")


async def the_profile_has_been_carried_out(station: Workstation) -> None:
    assert await shell(station, "hostname") == "till"
    assert await shell(station, "cat /root/ran") == "root read open: [9, 18]"
    assert await shell(station, "cat /mnt/work/hello") == "from the host"
    assert await shell(station, "touch /mnt/work/x 2>/dev/null || echo read only") == "read only"
    assert await shell(station, "stat -c %U /home/maria/mine") == "maria"
    assert await shell(station, "readlink /etc/localtime") == "/usr/share/zoneinfo/Europe/Vienna"
    assert 'XKBLAYOUT="de"' in (await shell(station, "cat /etc/default/keyboard")).replace(
        "XKBLAYOUT=de", 'XKBLAYOUT="de"'
    )
    assert await shell(station, "getent passwd maria | cut -d: -f7") == "/bin/bash"
    # Both adapters have an address, and the private network's domain is searched.
    assert "10.77." in await shell(station, "ip -4 -o address show dev net1")
    assert "(net1): lab" in await shell(station, "resolvectl domain")
    # The hash that the guest has is of the password.
    salt = (await shell(station, "getent shadow maria | cut -d: -f2")).split("$")
    made = subprocess.run(
        ["openssl", "passwd", "-6", "-salt", salt[2], "-stdin"],
        input=PASSWORD, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert made == "$".join(salt)


async def the_disc_is_gone(station: Workstation) -> None:
    assert not station.paths.machine("till").seed.exists()
    assert seed.read(station.paths.machine("till")) is None
    assert not station.view("till").unfinished
    held = "dd if=/dev/sr0 of=/dev/null count=1 2>/dev/null && echo disc || echo empty"
    assert await shell(station, held) == "empty"


async def the_agent_says_where_it_is(station: Workstation) -> None:
    said = await station.guests.facts("till")
    assert said.host_name == "till"
    assert said.system.startswith("Debian GNU/Linux 12")
    assert "10.0.2.15" in said.addresses
    assert station.view("till").guest == said
    code, out, err = await called("show", "till", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["guest"]["host_name"] == "till"


async def commands_bring_their_codes(station: Workstation) -> None:
    words = ("exec", "till", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert await called(*words) == (7, "out\n", "err\n")
    code, out, _ = await called("exec", "till", "--input", "--", "tr", "a-z", "A-Z", given="hello")
    assert (code, out) == (0, "HELLO")
    code, _, err = await called("exec", "till", "--", "no-such-program")
    assert code == 127 and "“no-such-program” is not run in “till”" in err
    with pytest.raises(WaitTimeoutError):
        await station.guests.run("till", ["sleep", "1234"], timeout=1)
    assert await shell(station, "pgrep -x sleep -a | grep 1234 || echo ended") == "ended"
    much = await station.guests.run("till", ["head", "-c", "3000000", "/dev/zero"])
    assert much.out == bytes(3_000_000)


async def ssh_logs_in(station: Workstation) -> None:
    code, out, err = await called("ssh", "till", "id -un; exit 5")
    assert (code, out) == (5, "maria\n"), err
    code, out, err = await called("ssh", "till", "--", "printf", "%s|", "a  b", "$HOME")
    assert (code, out) == (0, "a  b|$HOME|"), err
    # The host's key was known before; another one is refused.
    known = station.paths.machine("till").ssh / "known_hosts"
    kept = known.read_text()
    host_key = await shell(station, "cat /etc/ssh/ssh_host_ed25519_key.pub")
    assert host_key.split()[1] in kept
    known.write_text("till.vm ssh-ed25519 " + "A" * 68 + "\n")
    code, _, err = await called("ssh", "till", "true")
    assert code == 255 and err
    known.unlink()
    code, _, err = await called("ssh", "till", "true")  # the agent says it again
    assert code == 0, err
    assert known.read_text().split()[:3] == kept.split()[:3]
    # A person's own ssh, by the file for Include.
    code, out, _ = await called("ssh-config")
    file = station.paths.ssh_config
    assert (code, out) == (0, f'Include "{file}"\n')
    own = ["ssh", "-F", str(file), "till.vm", "id", "-un"]
    said = await asyncio.to_thread(subprocess.run, own, capture_output=True, text=True)
    assert said.stdout == "maria\n", said.stderr


async def files_are_copied_both_ways(home: Path) -> None:
    data = bytes(range(256)) * 1000
    (home / "data").write_bytes(data)
    for way in ([], ["--agent"]):
        inside = f"till:/tmp/copy{len(way)}"
        code, _, err = await called("cp", *way, str(home / "data"), inside)
        assert code == 0, err
        code, _, err = await called("cp", *way, inside, str(home / "back"))
        assert code == 0, err
        assert (home / "back").read_bytes() == data
    code, _, err = await called("cp", "-r", str(home / "share"), "till:")
    assert code == 0, err
    code, _, err = await called("cp", "--agent", "till:/etc/none", str(home / "none"))
    assert code == 11 and not (home / "none").exists(), err


async def disks_alone_are_frozen_clean(station: Workstation, home: Path) -> None:
    await shell(station, "echo before >/root/word")
    clean = await station.layers.snapshot("till", "clean", memory=False)
    assert await shell(station, "echo after >/root/word; cat /root/word") == "after"
    assert not needs_recovery(station, clean, home / "clean")
    # To compare: the same without an agent is as after a power cut.
    await station.guests.ssh("till", ["sudo systemctl stop qemu-guest-agent"])
    cut = await station.layers.snapshot("till", "cut", memory=False)
    assert needs_recovery(station, cut, home / "cut")


ROOT_AT = 69_632 * 512
"""Where the image's root file system begins (images/debian/assemble)."""


def needs_recovery(station: Workstation, layer: Layer, out: Path) -> bool:
    """Whether the root file system's journal was in use: ext4 lets go of it when it is frozen.

    The superblock is 1024 bytes in; EXT3_FEATURE_INCOMPAT_RECOVER is 4 of its word at 0x60 (the
    kernel's Documentation/filesystems/ext4/super.rst).
    """
    node = node_of(station.layers.store.disk_files(layer.id, "drive0"))
    call = ["qemu-img", "dd", "-O", "raw", "bs=1024", f"skip={ROOT_AT // 1024 + 1}",
            f"count={ROOT_AT // 1024 + 2}", f"if=json:{json.dumps(node)}", f"of={out}"]  # fmt: skip
    subprocess.run(call, check=True, capture_output=True)
    block = out.read_bytes()
    assert block[0x38:0x3A] == b"\x53\xef"
    return bool(int.from_bytes(block[0x60:0x64], "little") & 4)


def node_of(chain: tuple[DiskFile, ...]) -> dict[str, object]:
    top, *below = chain
    file = {"driver": "file", "filename": str(top.path)}
    backing = node_of(tuple(below)) if below else None
    more = {"backing": backing} if top.format == "qcow2" else {}
    return {"driver": top.format, "file": file, **more}

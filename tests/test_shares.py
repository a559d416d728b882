"""Shares are put away while a guest's memory is saved: what its agent is asked to do for that."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.test_agent import OPEN, fake
from tests.test_guest_inside import Running, agent_of, b64
from workstation.core.guest import agent, shares
from workstation.core.guest.shares import Mounted, mounts, put_away
from workstation.errors import NotAllowedError
from workstation.paths import MachinePaths

TABLE = r"""/dev/vda1 / ext4 rw,relatime 0 0
docs /mnt/docs 9p ro,relatime,access=client,trans=virtio 0 0
work /mnt/my\040work 9p rw,relatime,msize=262144,trans=virtio 0 0
far /mnt/far 9p rw,trans=tcp 0 0
short 9p
"""
DOCS = Mounted("docs", "/mnt/docs", "ro,relatime,access=client,trans=virtio")
WORK = Mounted("work", "/mnt/my work", "rw,relatime,msize=262144,trans=virtio")


class BlockedMonitor:
    """QEMU, as long as the guest has a share mounted."""

    def __init__(self, *reasons: str) -> None:
        self._reasons = list(reasons)

    async def execute(self, command: str, **_: object) -> Any:
        return {"blocked-reasons": self._reasons} if command == "query-migrate" else [OPEN]


VIRTFS = "Migration is disabled when VirtFS export path '/home' is mounted in the guest"


@pytest.fixture
async def guest(home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name in ("ANSWER_SECONDS", "ASKED_SECONDS"):
        monkeypatch.setattr(agent, name, 0.5)
    for name in ("web", "run"):
        (home / name).mkdir()
    found = Running(MachinePaths(home / "web", home / "run"))
    found.monitor = BlockedMonitor(VIRTFS)  # type: ignore[assignment]
    yield found


def answering(busy: str = "") -> Any:
    """Reads the table of mounts; of commands that umount `busy` fails."""
    pid = {"count": 0, "fails": False}

    def started(call: dict[str, Any]) -> dict[str, int]:
        pid["count"] += 1
        pid["fails"] = call["path"] == "umount" and call["arg"] == [busy]
        return {"pid": int(pid["count"])}

    def ended(_: dict[str, Any]) -> dict[str, object]:
        code = 32 if pid["fails"] else 0
        said = b64(b"umount: target is busy") if code else ""
        return {"exited": True, "exitcode": code, "err-data": said}

    return agent_of(
        file_open=7,
        file_read={"count": len(TABLE), "buf-b64": b64(TABLE.encode()), "eof": True},
        file_close={},
        exec=started,
        exec_status=ended,
    )


def commands(calls: list[dict[str, Any]]) -> list[list[str]]:
    asked = [call["arguments"] for call in calls if call["execute"] == "guest-exec"]
    return [[one["path"], *one["arg"]] for one in asked]


def mounted(share: Mounted) -> list[str]:
    return ["mount", "-t", "9p", "-o", share.options, share.tag, share.path]


async def test_they_are_unmounted_and_mounted_as_they_were(guest: Running) -> None:
    async with fake(guest.paths, answering()) as calls:
        async with put_away(guest):
            assert commands(calls) == [["umount", WORK.path], ["umount", DOCS.path]]
        assert commands(calls)[2:] == [mounted(DOCS), mounted(WORK)]
    assert not guest.said


async def test_they_are_mounted_again_after_a_failure_too(guest: Running) -> None:
    async with fake(guest.paths, answering()) as calls:
        with pytest.raises(OSError, match="no room"):
            async with put_away(guest):
                raise OSError("no room")
        assert commands(calls)[2:] == [mounted(DOCS), mounted(WORK)]


async def test_one_that_is_in_use_stays_and_so_do_all(guest: Running) -> None:
    async with fake(guest.paths, answering(busy=DOCS.path)) as calls:
        with pytest.raises(NotAllowedError, match="uses the share “docs”") as caught:
            async with put_away(guest):
                pytest.fail("it is in use")
        assert commands(calls)[2:] == [mounted(WORK)]
    assert "--disks-only" in caught.value.hint and "busy" in caught.value.details


async def test_where_nothing_is_in_the_way_nobody_is_asked(guest: Running) -> None:
    guest.monitor = BlockedMonitor("vhost-user-fs cannot migrate")  # type: ignore[assignment]
    async with fake(guest.paths, answering()) as calls, put_away(guest):
        pass
    assert calls == []


async def test_without_an_agent_all_stays_as_it_is(guest: Running) -> None:
    async with put_away(guest):
        pass
    assert not guest.said


def test_a_table_of_mounts_may_say_anything() -> None:
    assert mounts(TABLE) == [DOCS, WORK]
    assert mounts("") == mounts("\0\n9p 9p 9p\n") == []
    assert len(mounts("t /p 9p trans=virtio 0 0\n" * 500)) == shares._MOST

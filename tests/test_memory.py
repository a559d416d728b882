"""How QEMU is told to save a guest's memory: by the words that this QEMU has."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from workstation.errors import MonitorError
from workstation.qemu.memory import save_memory
from workstation.qemu.monitor import Monitor


class FakeMonitor:
    """Answers as a QEMU does that is done at once, or whose disk is full."""

    name = "one"

    def __init__(self, *capabilities: str, failed: str = "") -> None:
        self._capabilities = capabilities
        self._failed = failed
        self.uri = ""
        self.lent: list[int] = []

    async def execute(self, command: str, **arguments: Any) -> Any:
        match command:
            case "migrate":
                self.uri = arguments["uri"]
            case "query-migrate-capabilities":
                return [{"capability": one, "state": False} for one in self._capabilities]
            case "query-migrate" if self._failed:
                return {"status": "failed", "error-desc": self._failed}
            case "query-migrate":
                return {"status": "completed", "ram": {"total": 7}}
            case "query-status":
                return {"status": "postmigrate"}
        return {}

    async def pass_descriptor(self, descriptor: int, name: str) -> None:
        assert (os.fstat(descriptor).st_size, name) == (0, "memory")

    async def lend_descriptor(self, descriptor: int) -> str:
        self.lent.append(descriptor)
        return "/dev/fdset/3"

    async def take_back(self) -> None:
        self.lent.clear()


async def save(monitor: FakeMonitor, file: Path) -> int:
    with file.open("wb") as opened:
        descriptor = opened.fileno()
        return await save_memory(cast("Monitor", monitor), descriptor, lambda done, total: None)


async def test_an_older_qemu_writes_to_what_it_is_given(tmp_path: Path) -> None:
    monitor = FakeMonitor("events", "multifd")
    assert await save(monitor, tmp_path / "memory") == 7
    assert monitor.uri == "fd:memory"


async def test_one_that_saves_to_files_has_it_lent_until_it_is_done(tmp_path: Path) -> None:
    monitor = FakeMonitor("events", "mapped-ram")
    assert await save(monitor, tmp_path / "memory") == 7
    assert monitor.uri == "file:/dev/fdset/3"
    assert not monitor.lent


async def test_a_full_disk_is_seen_whatever_qemu_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newer ones say “Input/output error”."""
    full = SimpleNamespace(f_bavail=0, f_frsize=4096)
    monkeypatch.setattr(os, "fstatvfs", lambda _: full)
    monitor = FakeMonitor("mapped-ram", failed="ram_save_setup failed: Input/output error")
    with pytest.raises(MonitorError) as caught:
        await save(monitor, tmp_path / "memory")
    assert "make room" in caught.value.hint
    assert not monitor.lent

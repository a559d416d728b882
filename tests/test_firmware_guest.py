"""The firmware itself, started and asked: variables that last, a TPM, a screen with a picture."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import tiny
from workstation.core.workstation import Workstation
from workstation.model.profile import Profile
from workstation.paths import shipped
from workstation.profile.load import load_profile

pytestmark = [pytest.mark.qemu, pytest.mark.long, pytest.mark.timeout(900)]

PATIENCE = 300.0


class UefiShell:
    """The firmware's own shell on the serial line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def reached(self) -> None:
        """It waits some seconds for a key, to skip the start-up script."""
        async with asyncio.timeout(PATIENCE):
            await self._reader.readuntil(b"to skip")
            self._writer.write(b"\x1b")
            await self._reader.readuntil(b"Shell>")

    async def run(self, command: str) -> str:
        self._writer.write(f"{command}\r".encode())
        async with asyncio.timeout(60):
            return (await self._reader.readuntil(b"Shell>")).decode(errors="replace")


@asynccontextmanager
async def shell(station: Workstation, name: str = "one") -> AsyncIterator[UefiShell]:
    path = station.paths.machine(name).serial
    reader, writer = await asyncio.open_unix_connection(str(path), limit=2**20)
    try:
        found = UefiShell(reader, writer)
        await found.reached()
        yield found
    finally:
        writer.close()
        await writer.wait_closed()


NAME = "-guid 12345678-1234-1234-1234-123456789abc"
MARK = "setvar Mark {} -bs -nv ={}"


async def test_variables_last_over_a_restart_and_follow_a_revert_and_an_export(
    station: Workstation, home: Path
) -> None:
    await station.create("one", tiny(boot={"firmware": "uefi"}, memory="128 MiB"))
    await station.start("one")
    async with shell(station) as firmware:
        await firmware.run(MARK.format(NAME, "0102"))
        assert "01 02" in await firmware.run(f"setvar Mark {NAME}")
    await station.kill("one")
    await station.layers.snapshot("one", "a")
    await station.start("one")
    async with shell(station) as firmware:
        assert "01 02" in await firmware.run(f"setvar Mark {NAME}")
        await firmware.run(MARK.format(NAME, "0A0B"))
        assert "0A 0B" in await firmware.run(f"setvar Mark {NAME}")
    await station.kill("one")
    await station.layers.revert("one", "a", discard=True)
    async with shell(station) as firmware:
        assert "01 02" in await firmware.run(f"setvar Mark {NAME}")
    await station.kill("one")
    await station.carry.export("one", home / "one.vmbundle")
    await station.carry.import_file(home / "one.vmbundle", name="two")
    await station.start("two")
    async with shell(station, "two") as firmware:
        assert "01 02" in await firmware.run(f"setvar Mark {NAME}")


async def pictured(station: Workstation, home: Path) -> set[bytes]:
    """The colours on its screen, as soon as there is more than one."""
    monitor = station.machine("one").monitor
    assert monitor
    picture = home / "screen.ppm"
    async with asyncio.timeout(PATIENCE):
        while True:
            await monitor.execute("screendump", filename=str(picture))
            data = picture.read_bytes()
            pixels = data[-(len(data) // 3 - 8) * 3 :]
            colours = {pixels[at : at + 3] for at in range(0, len(pixels), 3)}
            if len(colours) > 1:
                return colours
            await monitor.stirred(0.5)


def bare(name: str) -> Profile:
    """A shipped profile's machine, with a blank disk in the place of what has to be downloaded."""
    profile = load_profile(shipped("profiles") / f"{name}.yaml")
    drives = tuple(
        drive.model_copy(update={"image": None, "size": drive.size or 2**30})
        for drive in profile.drives
    )
    discs = tuple(disc.model_copy(update={"image": None}) for disc in profile.cdroms)
    return profile.model_copy(
        update={"drives": drives, "cdroms": discs, "memory": 2**29, "ready": ""}
    )


@pytest.mark.parametrize("name", ["windows-11", "freebsd"])
async def test_the_shipped_machines_reach_their_firmware(
    station: Workstation, home: Path, name: str
) -> None:
    profile = bare(name)
    await station.create("one", profile)
    await station.start("one", force=True)
    assert station.qemu_log_tail("one") == ""
    monitor = station.machine("one").monitor
    assert monitor
    tpms: list[dict[str, Any]] = await monitor.execute("query-tpm")
    assert bool(tpms) is profile.devices.tpm
    assert len(await pictured(station, home)) > 1
    if profile.devices.tpm:
        # The firmware has spoken with it: a TPM that was started up has written its state.
        state = station.paths.machine("one").tpm_state
        assert any(file.stat().st_size for file in state.glob("tpm2-*"))

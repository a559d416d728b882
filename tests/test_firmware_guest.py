"""The firmware itself, started and asked: variables that last, a TPM, a screen with a picture."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import tiny
from workstation.core.bundle.importing import Words
from workstation.core.machine.verbs import log_tail
from workstation.core.workstation import Workstation
from workstation.errors import WorkstationError
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
    await station.carry.import_file(home / "one.vmbundle", Words(name="two"))
    await station.start("two")
    async with shell(station, "two") as firmware:
        assert "01 02" in await firmware.run(f"setvar Mark {NAME}")


async def picture_of(station: Workstation, home: Path) -> Image.Image:
    monitor = station.machine("one").monitor
    assert monitor
    await monitor.execute("screendump", filename=str(home / "screen.ppm"))
    with Image.open(home / "screen.ppm") as opened:
        return opened.convert("L").point(lambda value: 255 if value > 90 else 0)


CELL = (8, 19)
"""Pixels of a character of UEFI's text console (EDK II's graphics console)."""

MODES = ((80, 25), (80, 50), (100, 31), (128, 40), (160, 42))
"""Columns and rows that it has; its text is in the middle of the screen."""


def shows(picture: Image.Image, words: str) -> bool:
    """Whether a line of the screen begins with these words, whatever its letters look like.

    Same letters look the same there, others do not, and a blank has no ink: of so long a line
    that is true of no other text.
    """
    return any(
        _reads(picture, words, x, y + row * CELL[1])
        for columns, rows in MODES
        if (x := (picture.width - columns * CELL[0]) // 2) >= 0
        and (y := (picture.height - rows * CELL[1]) // 2) >= 0
        for row in range(rows)
    )


def _reads(picture: Image.Image, words: str, x: int, y: int) -> bool:
    looks: dict[str, bytes] = {}
    for number, letter in enumerate(words):
        left = x + number * CELL[0]
        cell = picture.crop((left, y, left + CELL[0], y + CELL[1])).tobytes()
        if looks.setdefault(letter, cell) != cell or (letter == " ") is any(cell):
            return False
    return len(set(looks.values())) == len(looks)


async def firmware_says(station: Workstation, home: Path, words: str) -> None:
    """Wait until the screen shows that line."""
    monitor = station.machine("one").monitor
    assert monitor
    async with asyncio.timeout(PATIENCE):
        while not shows(await picture_of(station, home), words):
            await monitor.stirred(0.5)


async def bios_says(station: Workstation, words: str) -> None:
    """The same of a BIOS, whose letters the program itself can read."""
    said = ""
    async with asyncio.timeout(PATIENCE):
        while words not in said:
            with suppress(WorkstationError):  # it shows no text yet
                said = await station.screens.text("one")
            await asyncio.sleep(0.2)


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


async def test_windows_machine_reaches_its_firmware_with_a_tpm(
    station: Workstation, home: Path
) -> None:
    await station.create("one", bare("windows-11"))
    await station.start("one", force=True)
    assert log_tail(station.machine("one")) == ""
    await station.settled("one")
    monitor = station.machine("one").monitor
    assert monitor
    (tpm,) = await monitor.execute("query-tpm")
    assert tpm["model"] == "tpm-crb"
    # What QEMU shows before any firmware runs is not taken for it.
    await monitor.execute("stop")
    assert not shows(await picture_of(station, home), NO_SYSTEM)
    await monitor.execute("cont")
    await firmware_says(station, home, NO_SYSTEM)
    # It has spoken with its TPM: one that was started up has written its state.
    state = station.paths.machine("one").tpm_state
    assert any(file.stat().st_size for file in state.glob("tpm2-*"))
    await station.kill("one")


NO_SYSTEM = "BdsDxe: No bootable option or device was found."


async def test_freebsds_machine_reaches_its_firmware(station: Workstation, home: Path) -> None:
    await station.create("one", bare("freebsd"))
    await station.start("one", force=True)
    assert log_tail(station.machine("one")) == ""
    await station.settled("one")
    await bios_says(station, "SeaBIOS")
    await bios_says(station, "No bootable device")
    await station.kill("one")

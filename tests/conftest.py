"""What every test stands on: a home of its own, and a Workstation in it."""

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

# Its plugin would import it at the very end, where CPython 3.11 can fail (gh-106905).
import hypothesis
import pytest

from tests import pictures
from workstation.core.images import Images
from workstation.core.layers import heads
from workstation.core.layers.store import Store
from workstation.core.workstation import Workstation
from workstation.model.profile import Profile
from workstation.paths import MachinePaths, Paths
from workstation.qemu import procfs
from workstation.qemu.blockdev import DiskFile

# A busy computer is no fault of the code's: no example has a deadline. The quick suite says the
# same twice of the same code; the long one tries other examples each time.
hypothesis.settings.register_profile(
    "ours",
    deadline=None,
    derandomize=not os.environ.get("WORKSTATION_OTHER_EXAMPLES"),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("ours")

# Whoever runs us in the background may have it ignored, and what we start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ENVIRON = dict(os.environ)
"""As it was before any test changed it."""


@contextmanager
def a_home() -> Iterator[Path]:
    """A home directory with a short path (a socket's path has 108 bytes).

    At the end every QEMU that was started in it is ended.
    """
    directory = Path(tempfile.mkdtemp(prefix="ws-"))
    try:
        yield directory
    finally:
        end_machines(directory)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Path]:
    with a_home() as directory:
        yield directory


def end_machines(directory: Path) -> None:
    """Kill what the `process` files below the directory name."""
    for file in directory.rglob("process"):
        pair = procfs.read_pair(MachinePaths(file.parent, file.parent))
        if pair and procfs.alive(pair.qemu):
            os.kill(pair.qemu.pid, signal.SIGKILL)


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    """The environment of a program that lives in that home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return kept | {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "WORKSTATION_ACCEL": "tcg",
    }


@pytest.fixture
def paths(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Paths:
    """The paths of that home; the process' own environment says the same."""
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        monkeypatch.delenv(name)
    for name in ("HOME", "XDG_RUNTIME_DIR", "WORKSTATION_ACCEL"):
        monkeypatch.setenv(name, environ[name])
    found = Paths.from_environment(environ)
    found.prepare()
    return found


@pytest.fixture
async def station(paths: Paths) -> AsyncIterator[Workstation]:
    """A front-end on an empty library."""
    async with Workstation(paths, front_end="test") as station:
        yield station


def tiny(**changes: object) -> Profile:
    """A machine with firmware only: real QEMU, up in a tenth of a second."""
    basis: dict[str, object] = {"name": "tiny", "memory": "32 MiB", "networks": []}
    return Profile.model_validate(basis | changes)


def overlay(machine: MachinePaths, drive: str = "drive0") -> Path:
    """The file that the machine writes that drive to."""
    return machine.overlay(heads.read_history(machine).head.id, drive)


def chain(paths: Paths, name: str, drive: str = "drive0") -> tuple[DiskFile, ...]:
    """The files of a machine's drive, from its head to its base."""
    machine = paths.machine(name)
    return heads.chain_of(machine, Store(paths), heads.read_history(machine).head, drive)


def base(paths: Paths, name: str, drive: str = "drive0") -> Path:
    """The image that the machine's drive stands on."""
    return chain(paths, name, drive)[-1].path


async def eventually(truth: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until it holds; for what nobody announces."""
    async with asyncio.timeout(seconds):
        while not truth():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def looks_as_kept(snap_compare: Any, request: pytest.FixtureRequest) -> pictures.Compare:
    """Compare a program's screen with the picture that is kept for the test."""
    update = request.config.option.update_snapshots
    place = request.path.parent / "__snapshots__" / request.path.stem
    return pictures.patient(
        snap_compare, place / ("none" if update else f"{request.node.name}.svg")
    )


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture in pixels is drawn in one call, however busy the computer is."""
    monkeypatch.setattr("workstation.ui.screen.pixels.SLICE", float("inf"))


@pytest.fixture(scope="session")
def appliance() -> Path:
    """The small guest's image, built once in this user's own cache and kept there."""
    images = Images(Paths.from_environment(ENVIRON))
    return asyncio.run(images.ensure("appliance")).path


@pytest.fixture(scope="session")
def debian() -> Path:
    """The real Debian's image, built once in this user's own cache and kept there."""
    images = Images(Paths.from_environment(ENVIRON))
    return asyncio.run(images.ensure("debian")).path


@pytest.fixture
def with_debian(paths: Paths, debian: Path) -> None:
    """The test's own home has it."""
    paths.images.mkdir(parents=True, exist_ok=True)
    paths.image("debian").symlink_to(debian)


@pytest.fixture
def with_appliance(paths: Paths, appliance: Path) -> None:
    """The test's own home has the appliance."""
    paths.images.mkdir(parents=True, exist_ok=True)
    paths.image("appliance").symlink_to(appliance)


class Shell:
    """The guest's shell on the serial line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def on(cls, station: Workstation, name: str) -> AsyncIterator["Shell"]:
        path = station.paths.machine(name).serial
        reader, writer = await asyncio.open_unix_connection(str(path))
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    def type(self, line: str) -> None:
        self._writer.write(f"{line}\n".encode())

    async def run(self, command: str, seconds: float = 60.0) -> str:
        """What the command prints, without its own line and the prompt."""
        mark = secrets.token_hex(6)
        begin, end = (f"{word}{mark}\r\n".encode() for word in ("begin-", "end-"))
        # The quotes keep the echo of the typed line from looking like the answer.
        self.type(f"echo begin''-{mark}; {command}; echo end''-{mark}")
        said = b""
        try:
            async with asyncio.timeout(seconds):
                while end not in said:
                    piece = await self._reader.read(4096)
                    assert piece, f"the line ended after {said!r}"
                    said += piece
        except TimeoutError as error:
            raise AssertionError(f"“{command}” does not end; the guest said {said!r}") from error
        answer = said.partition(begin)[2].partition(end)[0]
        return answer.decode(errors="replace").replace("\r\n", "\n").rstrip("\n")

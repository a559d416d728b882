"""One front-end's line to one QEMU: QMP over a unix socket, by the `qemu.qmp` library."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from qemu.qmp import ExecInterruptedError, ExecuteError, QMPClient, QMPError, Runstate

from workstation.errors import MonitorError, room_hint
from workstation.paths import MONITORS, MachinePaths

CONNECT_SECONDS = 30.0
"""How long QEMU may take to greet: it reads its disks' headers first, on a loaded host."""

EXECUTE_SECONDS = 20.0
"""How long a command may take; long work in QEMU is a job, not a command."""


Event = Mapping[str, Any]
"""A QMP event: `event`, `timestamp`, and `data` where it has any."""


class Session:
    """A QMP session as the rest of the program speaks it: one error, bounded waiting."""

    def __init__(self, client: QMPClient, name: str) -> None:
        self._client = client
        self.name = name

    async def execute(self, command: str, **arguments: object) -> Any:
        """Run a command and return what it returns; raises MonitorError, never QMPError."""
        try:
            async with asyncio.timeout(EXECUTE_SECONDS):
                return await self._client.execute(command, arguments or None)
        except ExecuteError as error:
            words = f"{command} on “{self.name}”: {error}"
            raise MonitorError(words, hint=room_hint(words)) from error
        except ExecInterruptedError as error:
            raise MonitorError(f"“{self.name}” ended before it answered {command}") from error
        except TimeoutError as error:
            raise MonitorError(f"“{self.name}” did not answer {command}") from error
        except QMPError as error:
            raise MonitorError(f"{command} on “{self.name}”: {error}") from error

    async def pass_descriptor(self, descriptor: int, name: str) -> None:
        """Give QEMU a copy of an open file, to be called `name` there (QMP `getfd`)."""
        self._client.send_fd_scm(descriptor)
        await self.execute("getfd", fdname=name)

    async def lend_descriptor(self, descriptor: int) -> str:
        """Give QEMU a copy of an open file; the path by which it opens that (QMP `add-fd`)."""
        self._client.send_fd_scm(descriptor)
        lent = await self.execute("add-fd")
        return f"/dev/fdset/{lent['fdset-id']}"

    async def take_back(self) -> None:
        """Have QEMU let go of all that it was lent, now or when it started."""
        for lent in await self.execute("query-fdsets"):
            await self.execute("remove-fd", **{"fdset-id": lent["fdset-id"]})


class Monitor(Session):
    """A QMP session on one of the machine's monitor sockets, held by a lock file.

    Every event of the session is given to `on_event` in the event loop, in order.
    """

    def __init__(self, paths: MachinePaths, on_event: Callable[[Event], None]) -> None:
        super().__init__(QMPClient(paths.name), paths.name)
        self._paths = paths
        self._on_event = on_event
        self._lock = -1
        self._reader: asyncio.Task[None] | None = None
        self._stirred = asyncio.Event()

    async def connect(self, uuid: UUID | None) -> None:
        """Take a free monitor of the QEMU of that machine; None where nobody else can answer.

        Raises MonitorError where none is free, where another machine answers, or nobody does.
        """
        try:
            number = self._take_free()
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._client.connect(str(self._paths.monitor(number)))
            self._reader = asyncio.create_task(self._read(), name=f"events {self._paths.name}")
            if uuid and UUID((await self.execute("query-uuid"))["UUID"]) != uuid:
                raise MonitorError(f"another machine answers on the monitor of “{self.name}”")
        except (TimeoutError, QMPError, OSError) as error:
            await self.disconnect()
            raise MonitorError(
                f"QEMU does not answer on the monitor of “{self.name}”", details=repr(error)
            ) from error
        except BaseException:
            await self.disconnect()
            raise

    def _take_free(self) -> int:
        for number in range(MONITORS):
            descriptor = os.open(
                self._paths.monitor_lock(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            self._lock = descriptor
            return number
        raise MonitorError(
            f"all {MONITORS} monitors of “{self.name}” are taken",
            hint="close another front-end that watches it",
        )

    async def _read(self) -> None:
        async for event in self._client.events:
            self._on_event(event)
            self._stirred.set()

    async def stirred(self, seconds: float) -> None:
        """Return at the next event, or after that time."""
        self._stirred.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stirred.wait()

    @property
    def connected(self) -> bool:
        return self._client.runstate is Runstate.RUNNING

    async def disconnect(self) -> None:
        """Let go of the monitor; safe at any time, more than once."""
        # After `quit` the library may find the stream ended already: a clean end.
        with contextlib.suppress(EOFError, QMPError, OSError, asyncio.IncompleteReadError):
            await self._client.disconnect()
        if self._reader:
            self._reader.cancel()
            await asyncio.wait({self._reader})
            self._reader = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

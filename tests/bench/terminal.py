"""A program in a terminal of its own, watched from outside as a person would."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])"
)
"""Escape sequences (ECMA-48): what is left is what was written."""


class Terminal:
    """What the program has written since `forget`, and keys for it."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int) -> None:
        self.process = process
        self._master = master
        self._written = bytearray()
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._read)

    @classmethod
    @asynccontextmanager
    async def running(
        cls, argv: Sequence[str], environ: Mapping[str, str], size: tuple[int, int] = (100, 30)
    ) -> AsyncIterator["Terminal"]:
        """The program in a terminal of that many columns and rows; it is ended with the block."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        # These would go before the size that the terminal has.
        kept = {name: one for name, one in environ.items() if name not in ("COLUMNS", "LINES")}
        process = subprocess.Popen(
            argv, env=kept, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        terminal = cls(process, master)
        try:
            yield terminal
        finally:
            asyncio.get_running_loop().remove_reader(master)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
            os.close(master)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
        self._written += data
        self._more.set()

    @property
    def written(self) -> str:
        """Since `forget`, as it was written."""
        return self._written.decode(errors="replace")

    @property
    def text(self) -> str:
        """The same without colours and cursor moves."""
        return _SEQUENCE.sub("", self.written)

    def forget(self) -> None:
        self._written.clear()

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    async def shows(self, *words: str, seconds: float = 30.0) -> float:
        """Wait until all words were written since `forget`; the moment, by `perf_counter`."""
        return await self.until(lambda it: all(word in it.text for word in words), seconds)

    async def until(self, truth: Callable[["Terminal"], object], seconds: float = 30.0) -> float:
        """Wait until it holds after something was written; the moment of that."""
        async with asyncio.timeout(seconds):
            while True:
                self._more.clear()
                moment = time.perf_counter()
                if truth(self):
                    return moment
                await self._more.wait()

    def cpu_seconds(self) -> float:
        """User and system time so far (proc(5))."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

"""A QEMU without a machine, for work on disk images: the same block layer, the same jobs."""

import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qemu.qmp import QMPClient, QMPError

from workstation.errors import HostError
from workstation.model.host import HostFacts
from workstation.qemu.argv import SANDBOX
from workstation.qemu.leash import leashed
from workstation.qemu.monitor import Session


@asynccontextmanager
async def workbench(facts: HostFacts, accelerator: str = "tcg") -> AsyncIterator[Session]:
    """A QMP session to a QEMU that has no guest; it ends with the block, flushed.

    The accelerator matters only to what it says of CPU models.
    """
    if not facts.qemu:
        raise HostError("QEMU is not installed", hint="workstation doctor says what to install")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        argv = (
            facts.qemu, "-machine", "none", "-accel", accelerator, "-nodefaults",
            "-no-user-config", "-display", "none", "-sandbox", SANDBOX,
            "-chardev", f"socket,id=monitor,fd={theirs.fileno()}",
            "-mon", "chardev=monitor,mode=control",
        )  # fmt: skip
        async with leashed(argv, descriptors=(theirs.fileno(),)) as process:
            theirs.close()
            client = QMPClient("workbench")
            try:
                await client.connect(ours)
                yield Session(client, "disk work")
            finally:
                with contextlib.suppress(EOFError, QMPError, OSError):
                    await client.execute("quit")
                with contextlib.suppress(EOFError, QMPError, OSError):
                    await client.disconnect()
                await process.wait()

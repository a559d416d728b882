"""Helper programs that end when we do, even where we are killed: they hold locks on disks."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

_LEASH = """\
exec 3<&0 </dev/null
"$@" 3<&- &
program=$!
(read -r _ <&3; kill $program) 2>/dev/null &
leash=$!
exec 3<&-
wait $program
status=$?
kill $leash
exit $status
"""
"""Standard input is the leash: it ends with its last holder. Says the program's exit status."""


@asynccontextmanager
async def leashed(
    argv: Sequence[str],
    *,
    stdout: int = DEVNULL,
    stderr: int = DEVNULL,
    descriptors: Sequence[int] = (),
) -> AsyncIterator[Process]:
    """Run a program, without input; where it has not ended, it does with the block."""
    theirs, ours = os.pipe()
    process = None
    try:
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                "/bin/sh", "-c", _LEASH, "leash", *argv,
                stdin=theirs,
                stdout=stdout,
                stderr=stderr,
                pass_fds=tuple(descriptors),
                umask=0o077,
            )
        )  # fmt: skip
        try:
            # Cancelled in the middle of it, asyncio would wait for ever.
            await asyncio.shield(starting)
        finally:
            await asyncio.wait({starting})
            os.close(theirs)
            process = starting.result()
        yield process
    finally:
        os.close(ours)
        if process:
            # Not `wait`: asyncio has seen the end of a program only when its pipes are read out.
            await process.communicate()

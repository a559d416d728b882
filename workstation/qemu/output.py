"""Run a short program for what it prints."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress


async def output_of(*argv: str, said: bytes | None = None, seconds: float = 10.0) -> str:
    """What it prints, `said` being its input; empty where it cannot be run, fails or takes too
    long."""
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=DEVNULL if said is None else PIPE, stdout=PIPE, stderr=DEVNULL, env=env
        )
    except OSError:
        return ""
    try:
        async with asyncio.timeout(seconds):
            text, _ = await process.communicate(said)
    except TimeoutError:
        return ""
    finally:
        with suppress(ProcessLookupError):
            if process.returncode is None:
                process.kill()
                await process.wait()
    return text.decode(errors="replace") if process.returncode == 0 else ""

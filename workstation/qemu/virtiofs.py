"""Whether the host's virtiofsd can serve a share."""

import subprocess


def trouble(program: str, *, writable: bool) -> str:
    """Why it cannot; empty where it can. QEMU's own, older one takes other options."""
    if not program:
        return "virtiofsd is not installed"
    try:
        done = subprocess.run([program, "--help"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return f"{program} does not run"
    needed = (b"--shared-dir",) if writable else (b"--shared-dir", b"--readonly")
    return "" if all(option in done.stdout for option in needed) else f"{program} is too old for it"

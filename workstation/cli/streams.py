"""Standard streams that can be written to, whatever the terminal and its locale.

Imported by `workstation list`: quick modules only.
"""

import codecs
import os
import sys

_PLAIN = {
    "“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "→": "->", "×": "x", "–": "-", "—": "-",
    "✓": "+", "•": "*", "✗": "x", "●": "*", "○": "o",
    "◆": "#", "│": "|", "─": "-", "├": "+", "┴": "+", "┼": "+", "╯": "'",
}  # fmt: skip
"""What is written where the terminal's character set lacks the character; “?” for all others."""


def prepare() -> None:
    """Make up for streams that are closed, and for character sets that lack what we write."""
    _open_missing()
    codecs.register_error("workstation", _replaced)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="workstation")


def _open_missing() -> None:
    """`>&-` leaves Python without the stream, and its number to the next file that is opened."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while os.open(os.devnull, os.O_RDWR) <= 2:
        pass
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char, "?") for char in lacking), error.end


def interactive() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def drop_output() -> None:
    """Nobody reads it any more: Python would complain once more at its exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def reader_gone() -> bool:
    """Whether it is standard output whose other end was closed, and no other pipe or socket."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return True
    except (OSError, ValueError):
        return False
    from select import POLLERR, poll

    asked = poll()
    asked.register(sys.stdout.fileno(), 0)
    return any(happened & POLLERR for _, happened in asked.poll(0))

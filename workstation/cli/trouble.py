"""What went wrong, as one readable sentence on standard error, and the exit code for it."""

import sys
from pathlib import Path

from workstation.cli import streams
from workstation.errors import WorkstationError, of_the_host, room_hint
from workstation.paths import Paths

INTERRUPTED = 130
"""128 + SIGINT, as shells give it."""


def tell(error: BaseException) -> int:
    """Say it; returns the exit code."""
    error = _first(error)
    if isinstance(error, BrokenPipeError) and streams.reader_gone():
        streams.drop_output()
        return 0
    _flush()
    if isinstance(error, WorkstationError):
        complain(error)
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        print("\nworkstation: interrupted" if sys.stderr.isatty() else "workstation: interrupted",
              file=sys.stderr)  # fmt: skip
        return INTERRUPTED
    if isinstance(error, OSError):
        return tell(of_the_host(error))
    complain(_of_the_program(error))
    return WorkstationError.exit_code


def complain(error: WorkstationError) -> None:
    """One sentence, then the particulars and the next step."""
    from workstation.model.text import safe, safe_line

    what = str(error)
    print(f"workstation: {safe_line(what, limit=1000)}", file=sys.stderr)
    if error.details.strip() not in what:
        print(_indented(safe(error.details)), file=sys.stderr)
    hint = error.hint or room_hint(what)
    if hint:
        print(f"  → {safe_line(hint, limit=1000)}", file=sys.stderr)


def warn(text: str) -> None:
    from workstation.model.text import safe_line

    print(f"workstation: {safe_line(text)}", file=sys.stderr, flush=True)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _first(error: BaseException) -> BaseException:
    """Of errors that happened at once, one that can be told."""
    while isinstance(error, BaseExceptionGroup):
        known = [one for one in error.exceptions if isinstance(one, WorkstationError)]
        error = (known or error.exceptions)[0]
    return error


def _flush() -> None:
    """What was printed before comes first; where it cannot be written, nothing more is said."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        streams.drop_output()


def _of_the_program(error: BaseException) -> WorkstationError:
    """A fault of ours: the traceback goes to a file."""
    what = f"the program has a fault: {type(error).__name__}: {error}"
    try:
        where = Paths.from_environment().fault
        _write_down(error, where)
    except OSError:
        return WorkstationError(what, hint="its particulars could not be written to the cache")
    return WorkstationError(what, hint=f"its particulars are in {where}: please report them")


def _write_down(error: BaseException, where: Path) -> None:
    import platform
    import time
    import traceback

    from workstation import __version__

    lines = [
        f"workstation {__version__}, Python {platform.python_version()}, {platform.platform()}",
        time.strftime("%Y-%m-%d %H:%M:%S %z"),
        f"called as: {' '.join(sys.argv)}",
        "",
        *traceback.format_exception(error),
    ]
    where.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    where.write_text("\n".join(lines), encoding="utf-8", errors="replace")

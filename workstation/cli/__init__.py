"""The command line: the same verbs as the screens, for a shell and for scripts."""

import sys
from collections.abc import Sequence

from workstation.errors import WorkstationError

INTERRUPTED = 130
"""128 + SIGINT, as shells give it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. No traceback ever reaches a person."""
    from workstation.cli.parser import parse

    words = sys.argv[1:] if argv is None else argv
    try:
        return parse(words).run()
    except WorkstationError as error:
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain once more at its exit.
        sys.stderr.close()
        return 0


def complain(error: WorkstationError) -> None:
    """One readable sentence, then the particulars and the next step."""
    from workstation.model.text import safe

    print(f"workstation: {safe(str(error))}", file=sys.stderr)
    if error.details:
        print(_indented(safe(error.details)), file=sys.stderr)
    if error.hint:
        print(f"  → {safe(error.hint)}", file=sys.stderr)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())

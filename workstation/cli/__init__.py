"""The command line: the same verbs as the screens, for a shell and for scripts."""

from __future__ import annotations

import sys

from workstation.errors import LockedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from workstation.cli.parser import Call


def _run(call: Call) -> int:
    """Once more with the passphrase of an encrypted bundle, where the command lacked it."""
    try:
        return call.run()
    except LockedError as error:
        from workstation.cli import locked

        if not locked.asked(error):
            raise
    return call.run()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. No traceback ever reaches a person."""
    try:
        from workstation.cli import parser, streams

        streams.prepare()
        try:
            code = _run(parser.parse(sys.argv[1:] if argv is None else argv))
        except SystemExit as end:
            code = int(end.code or 0)
        sys.stdout.flush()
    except BaseException as error:
        from workstation.cli import trouble

        return trouble.tell(error)
    return code

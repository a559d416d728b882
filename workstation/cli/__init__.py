"""The command line: the same verbs as the screens, for a shell and for scripts."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. No traceback ever reaches a person."""
    try:
        from workstation.cli import parser, streams

        streams.prepare()
        try:
            code = parser.parse(sys.argv[1:] if argv is None else argv).run()
        except SystemExit as end:
            code = int(end.code or 0)
        sys.stdout.flush()
    except BaseException as error:
        from workstation.cli import trouble

        return trouble.tell(error)
    return code

"""Arguments that commands of several families have."""

from __future__ import annotations

import argparse

from workstation.cli.parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def only_json(parser: Parser) -> None:
    parser.json()


def machine_json(parser: Parser) -> None:
    parser.machine()
    parser.json()


def duration(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"“{text}” is not a number of seconds from 0 to 86400")
    return seconds


def snapshot(parser: Parser, *names: str, **options: Any) -> None:
    """A snapshot of the machine that was named before it."""

    def known(parsed_args: Any, **_: object) -> list[str]:
        from workstation.cli.completion import snapshots

        return snapshots(parsed_args.name)

    parser.add_argument(*names, **options).completer = known  # type: ignore[attr-defined]


def several_machines(parser: Parser) -> None:
    parser.named("names", metavar="NAME", nargs="*", help="machines", completer="machine_names")
    parser.add_argument("--all", action="store_true", help="every machine that this fits")
    parser.json()

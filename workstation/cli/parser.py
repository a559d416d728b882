"""Words become a Call. Only the parser of the command that was asked for is ever built.

Imported by `workstation list`: quick modules only.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from importlib import import_module

from workstation.cli import streams
from workstation.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, NoReturn

PROGRAM = "workstation"


class Call(argparse.Namespace):
    """What was asked for."""

    handler: str
    """`module:function` in this package."""

    def run(self) -> int:
        module, _, function = self.handler.partition(":")
        handler = getattr(import_module(f"workstation.cli.{module}"), function)
        return int(handler(self) or 0)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Knows its width: argparse would load `shutil` for it, help or not."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_width())


def _width() -> int:
    try:
        return min(100, max(40, os.get_terminal_size().columns - 2))
    except OSError:
        return 98


class Parser(argparse.ArgumentParser):
    """Argparse with our errors; an option must be written out, so that scripts go on working."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **options)

    def error(self, message: str) -> NoReturn:
        missing = message.removeprefix("the following arguments are required: ")
        text = message if missing == message else f"“{self.prog}” needs {missing}"
        raise UsageError(text, hint=f"see: {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            option = f"{action.option_strings[-1]} " if action.option_strings else ""
            self.error(f"{option}“{value}” is none of {', '.join(map(str, action.choices))}")

    def called(self, words: Sequence[str]) -> Call:
        call, unknown = self.parse_known_args(words, namespace=Call())
        if unknown:
            raise self._unknown(unknown[0])
        return call

    def _unknown(self, word: str) -> UsageError:
        name = word.partition("=")[0]
        meant = _nearest(name, self._option_string_actions) if word.startswith("-") else ""
        return UsageError(
            f"“{self.prog}” takes no “{word}”",
            hint=f"did you mean “{meant}”?" if meant else f"see: {self.prog} --help",
        )

    def named(self, *names: str, completer: str, **options: Any) -> None:
        """An argument whose values the shell can complete: a function of `completion`."""

        def known(**_: object) -> list[str]:
            found: list[str] = getattr(import_module("workstation.cli.completion"), completer)()
            return found

        self.add_argument(*names, **options).completer = known  # type: ignore[attr-defined]

    def machine(self) -> None:
        self.named("name", metavar="NAME", help="a machine", completer="machine_names")

    def json(self) -> None:
        self.add_argument("--json", action="store_true", help="print JSON")


class Command:
    """What does it (as `Call.handler`), what it is for, what adds its arguments, its uses."""

    def __init__(
        self, handler: str, text: str, fill: Callable[[Parser], None], examples: Sequence[str]
    ) -> None:
        self.handler = handler
        self.text = text
        self.fill = fill
        self.examples = examples


class Group:
    """Commands that begin with the same word."""

    def __init__(self, text: str, commands: Grammar) -> None:
        self.text = text
        self.commands = commands


Grammar = Mapping[str, Command | Group]


def parse(words: Sequence[str]) -> Call:
    """Raises UsageError; `--help` and `--version` print and exit."""
    from workstation.cli.grammar import COMMANDS

    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(build(), always_complete_options="long")
    if not words:
        return Call(handler="screens:library", file="")
    if words[0] == "help":
        words = [*words[1:], "--help"]
    elif command := _by_ending(words[0]):
        if len(words) == 1 and streams.interactive():
            return Call(handler="screens:library", file=words[0])
        words = [command, *words]
    return _descend(PROGRAM, COMMANDS, words)


_BY_ENDING = {".vmbundle": "open", ".ova": "import", ".ovf": "import"}


def _by_ending(word: str) -> str:
    """What `workstation FILE` does with the file where no person can be shown it first."""
    if word.startswith("-"):
        return ""
    return next((_BY_ENDING[end] for end in _BY_ENDING if word.lower().endswith(end)), "")


def _descend(program: str, grammar: Grammar, words: Sequence[str]) -> Call:
    first, rest = (words[0], words[1:]) if words else ("", ())
    node = grammar.get(first)
    if isinstance(node, Command):
        return _leaf(Parser(prog=f"{program} {first}", **_about(node)), node).called(rest)
    if node:
        return _descend(f"{program} {first}", node.commands, rest)
    if not first:
        raise UsageError(
            f"“{program}” needs a word more: {', '.join(grammar)}", hint=f"see: {program} --help"
        )
    if first.startswith("-"):
        return build(program, grammar).called(words)
    meant = _nearest(first, grammar)
    raise UsageError(
        f"“{program}” has no command “{first}”",
        hint=f"did you mean “{meant}”?" if meant else f"see: {program} --help",
    )


def _nearest(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), n=1, cutoff=0.7)), "")


def _about(node: Command) -> dict[str, Any]:
    examples = "\n".join(f"  {example}" for example in node.examples)
    text = f"{node.text[0].upper()}{node.text[1:]}."
    return {"description": text, "epilog": f"examples:\n{examples}"}


def _leaf(parser: Parser, node: Command) -> Parser:
    parser.set_defaults(handler=node.handler)
    node.fill(parser)
    return parser


def build(program: str = PROGRAM, grammar: Grammar | None = None) -> Parser:
    """The whole grammar, or a part of it: for help and for completion."""
    from workstation.cli import grammar as words

    parser = Parser(prog=program)
    if grammar is None or grammar is words.COMMANDS:
        grammar = words.COMMANDS
        parser.description, parser.epilog = words.DESCRIPTION, words.EPILOG
        parser.add_argument("--version", action="version", version=words.VERSION)
    _branch(parser, grammar)
    return parser


def _branch(parser: Parser, grammar: Grammar) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for name, node in grammar.items():
        if isinstance(node, Command):
            _leaf(commands.add_parser(name, help=node.text, **_about(node)), node)
        else:
            made = commands.add_parser(name, help=node.text, description=f"{node.text}.")
            _branch(made, node.commands)

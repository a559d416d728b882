"""The commands about this computer."""

from __future__ import annotations

from workstation.cli.grammar.shared import only_json
from workstation.cli.parser import Command, Grammar, Parser


def _shell(parser: Parser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], metavar="bash|zsh|fish")


COMMANDS: Grammar = {
    "doctor": Command("host:doctor", "say what this computer has and lacks, and how to mend it",
                      only_json, ["workstation doctor", "workstation doctor --json"]),
    "completion": Command("completion:show", "print a shell's completion code",
                          _shell, ['eval "$(workstation completion bash)"']),
}  # fmt: skip

"""The words of the command line. What a command does is imported when it is asked for."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from workstation import __version__
from workstation.errors import UsageError

_EPILOG = """\
Without a command, the screens open. Exit codes: 0 done; 2 the call's words are off; 3 not found;
4 the machine is busy; 5 a file has problems; 6 not possible in this state; 7 QEMU did not start;
8 this computer lacks something; 9 not enough memory (--force starts it all the same); 10 waited
in vain; 11 QEMU refused; 1 anything else; 130 interrupted.
"""


class Call(argparse.Namespace):
    """What was asked for."""

    handler: str
    """`module:function` in this package."""

    def run(self) -> int:
        module, _, function = self.handler.partition(":")
        handler = getattr(import_module(f"workstation.cli.{module}"), function)
        return int(handler(self) or 0)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see: {self.prog} --help")


def parse(words: Sequence[str]) -> Call:
    """Raises UsageError; `--help` and `--version` print and exit."""
    parser = build()
    complete(parser)
    return parser.parse_args(words, namespace=Call())


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell's question for completions, where it asks one."""
    import os

    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


def build() -> argparse.ArgumentParser:
    """The whole grammar."""
    parser = _Parser(
        prog="workstation",
        description="Virtual machines that live in the terminal, and travel as files.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"workstation {__version__}")
    parser.set_defaults(handler="screens:library")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    _Machines(commands).add()
    _Things(commands).add()
    return parser


class _Commands:
    """A group of commands in the making."""

    def __init__(self, commands: Any) -> None:
        self._commands = commands

    def command(
        self, name: str, handler: str, text: str, *, machine: bool = False, json: bool = False
    ) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = self._commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        made.set_defaults(handler=handler)
        if machine:
            self.machine(made)
        if json:
            made.add_argument("--json", action="store_true", help="print JSON")
        return made

    @staticmethod
    def machine(parser: argparse.ArgumentParser) -> None:
        argument = parser.add_argument("name", metavar="NAME", help="a machine")
        _completed(argument, "machine_names")


def _completed(argument: argparse.Action, completer: str) -> None:
    def names(**_: object) -> list[str]:
        found: list[str] = getattr(import_module("workstation.cli.completion"), completer)()
        return found

    argument.completer = names  # type: ignore[attr-defined]


class _Machines(_Commands):
    """Commands that act on machines."""

    def add(self) -> None:
        self._looking()
        self._making()
        self._running()

    def _looking(self) -> None:
        listing = self.command("list", "listing:show", "list the machines", json=True)
        listing.add_argument("--tag", help="only those that carry this tag")
        self.command("show", "machines:show", "show one machine", machine=True, json=True)
        logs = self.command("logs", "machines:logs", "print what the guest printed on its serial"
                            " line", machine=True)  # fmt: skip
        logs.add_argument("--qemu", action="store_true", help="what QEMU itself said instead")
        logs.add_argument("--raw", action="store_true", help="the bytes as they are")
        logs.add_argument("-f", "--follow", action="store_true", help="go on as it prints")

    def _making(self) -> None:
        demo = self.command("demo", "machines:demo", "make the demo where it is missing, start it,"
                            " and wait for the guest's shell", json=True)  # fmt: skip
        demo.add_argument("--headless", action="store_true", help="do not open the screens")
        create = self.command(
            "create", "machines:create", "make a machine from a profile", machine=False, json=True
        )
        create.add_argument("name", metavar="NAME", help="of the new machine")
        profile = create.add_argument(
            "-p", "--profile", required=True, help="a profile's name, or a file"
        )
        _completed(profile, "profile_names")
        create.add_argument("-s", "--set", metavar="KEY=VALUE", action="append", default=[],
                            help="replace a value of the profile; may be repeated")  # fmt: skip
        create.add_argument("--start", action="store_true", help="start it too")
        self.command("edit", "machines:edit", "edit a machine's file in $EDITOR, and check it",
                     machine=True)  # fmt: skip
        delete = self.command("delete", "machines:delete", "delete a machine and its disks",
                              machine=True)  # fmt: skip
        delete.add_argument("-y", "--yes", action="store_true", help="do not ask")

    def _running(self) -> None:
        start = self.command("start", "machines:start", "start a machine", machine=True, json=True)
        start.add_argument("--wait", action="store_true", help="until its guest is ready")
        start.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS")
        start.add_argument("--force", action="store_true", help="even if memory is short")
        stop = self.command("stop", "machines:stop", "shut a machine down: the power button first,"
                            " then harder means", machine=True, json=True)  # fmt: skip
        stop.add_argument("--force", action="store_true", help="at once, without asking the guest")
        for verb, text in (
            ("pause", "pause a machine"),
            ("resume", "let a paused machine go on"),
            ("reset", "press a machine's reset button"),
        ):
            self.command(verb, f"machines:{verb}", text, machine=True, json=True)
        self.command("console", "machines:console", "work in a machine's serial console; ctrl+]"
                     " leaves", machine=True)  # fmt: skip


class _Things(_Commands):
    """Commands about profiles, images and the host."""

    def add(self) -> None:
        self.command("doctor", "host:doctor", "say what this computer has and lacks", json=True)
        completion = self.command("completion", "completion:show", "print a shell's completion"
                                  " code")  # fmt: skip
        completion.add_argument("shell", choices=["bash", "zsh", "fish"])
        self._profiles()
        self._images()

    def _group(self, name: str, text: str) -> "_Things":
        parser = self._commands.add_parser(name, help=text, description=f"{text}.")
        return _Things(parser.add_subparsers(metavar="COMMAND", required=True))

    def _profiles(self) -> None:
        group = self._group("profile", "look at and check profiles")
        group.command("list", "profiles:show_all", "list the profiles", json=True)
        one = group.command("show", "profiles:show", "print a profile with its defaults", json=True)
        _completed(one.add_argument("name", metavar="NAME"), "profile_names")
        validate = group.command("validate", "profiles:validate", "check profiles", json=True)
        validate.add_argument("files", metavar="FILE", nargs="+")
        group.command("schema", "profiles:schema", "print the profiles' JSON Schema")

    def _images(self) -> None:
        group = self._group("images", "look at and build images")
        group.command("list", "images:show", "list the images", json=True)
        build = group.command("build", "images:build", "build an image from its recipe", json=True)
        _completed(build.add_argument("name", metavar="NAME"), "recipe_names")

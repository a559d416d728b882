"""The commands that show a machine and type on it."""

from __future__ import annotations

from workstation.cli.parser import Command, Grammar, Parser


def _machine(parser: Parser) -> None:
    parser.machine()


def _logs(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("--qemu", action="store_true", help="what QEMU itself said instead")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--raw", action="store_true", help="the bytes as they are")
    how.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as it prints")


def _screen(parser: Parser) -> None:
    parser.machine()
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("-o", "--output", metavar="FILE", help="save a PNG; - prints it")
    how.add_argument("--text", action="store_true", help="print the text that it shows")
    parser.json()


def _type(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("text", metavar="TEXT", help="- to read it from standard input")
    parser.add_argument("--enter", action="store_true", help="press Enter after it")
    parser.json()


def _keys(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("keys", metavar="KEY", nargs="+", help="such as ctrl-alt-del, f2, enter")
    parser.json()


def _viewer(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("--print", action="store_true", help="only print its address")
    parser.json()


COMMANDS: Grammar = {
    "console": Command("machines:console", "work in a machine's serial console; ctrl+] leaves",
                       _machine, ["workstation console web"]),
    "screen": Command("screen:screen", "save a picture of a machine's screen", _screen, [
        "workstation screen web --output shot.png", "workstation screen web --text",
    ]),
    "type": Command("screen:type_text", "type a text on a machine's screen", _type, [
        "workstation type web 'echo hello' --enter", "workstation type web -",
    ]),
    "keys": Command("screen:keys", "press keys on a machine's screen", _keys, [
        "workstation keys web ctrl-alt-del", "workstation keys web down down enter",
    ]),
    "viewer": Command("screen:viewer", "open a machine's screen in a window, by another program",
                      _viewer, ["workstation viewer web"]),
    "logs": Command("logs:logs", "print what the guest printed on its serial line", _logs, [
        "workstation logs web", "workstation logs web --follow", "workstation logs web --qemu",
    ]),
}  # fmt: skip

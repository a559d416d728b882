"""The commands that make and run machines.

Quick modules only: `workstation list` imports it.
"""

from __future__ import annotations

from workstation.cli.grammar.shared import duration, machine_json, several_machines
from workstation.cli.parser import Command, Grammar, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _list(parser: Parser) -> None:
    parser.named("--tag", completer="tags", help="only those that carry this tag")
    parser.json()


def _demo(parser: Parser) -> None:
    parser.add_argument("--headless", action="store_true", help="do not open the screens")
    parser.json()


def _create(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the new machine")
    source = parser.add_argument_group("what it is made from")
    _named(source, "-p", "--profile", default="", completer="profiles",
           help="a profile's name, a file, or a directory with one")  # fmt: skip
    _named(source, "--image", default="", completer="images",
           help="what its disk starts as: an image's name, or a disk file")  # fmt: skip
    _named(source, "--iso", default="", completer="images",
           help="the disc in its drive: an image's name, or a file")  # fmt: skip
    _named(source, "--from", dest="origin", metavar="MACHINE", default="",
           completer="machine_names", help="a clone of that machine")  # fmt: skip
    parser.add_argument("--memory", default="", metavar="SIZE", help="such as '2 GiB'")
    parser.add_argument("--cpus", default="", metavar="NUMBER", help="virtual CPUs")
    parser.add_argument("--disk", default="", metavar="SIZE", help="of its first disk")
    parser.add_argument("--user", default="", metavar="USER",
                        help="who logs in; cloud-init makes that user")  # fmt: skip
    parser.add_argument("--key", default="", choices=["auto", "own", "machine", "none"],
                        help="the SSH key that logs in: your own, or one made for it")  # fmt: skip
    parser.add_argument("--hostname", default="", metavar="NAME",
                        help="what its system calls itself")  # fmt: skip
    parser.add_argument("-s", "--set", metavar="KEY=VALUE", action="append", default=[],
                        help="replace a value of the profile; may be repeated")  # fmt: skip
    parser.add_argument("--start", action="store_true", help="start it too")
    _waiting(parser)
    parser.json()


def _delete(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.json()


def _waiting(parser: Parser) -> None:
    parser.add_argument("--wait", action="store_true",
                        help="until its guest is ready: a new one, until it is set up")  # fmt: skip
    parser.add_argument("--timeout", type=duration, metavar="SECONDS",
                        help="how long to wait at most (120; 900 for a first boot)")  # fmt: skip


def _start(parser: Parser) -> None:
    parser.machine()
    _waiting(parser)
    parser.add_argument("--force", action="store_true", help="even if memory is short")
    parser.add_argument("--cold", action="store_true",
                        help="boot a frozen machine's disks, and forget its memory")  # fmt: skip
    parser.json()


def _stop(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("--force", action="store_true", help="at once, without asking the guest")
    parser.json()


def _named(group: Any, *names: str, completer: str, **options: Any) -> None:
    """An option within a group of the help; its values are completed as those of `named` are."""
    Parser.named(group, *names, completer=completer, **options)


COMMANDS: Grammar = {
    "demo": Command("demo:demo", "make the demo where it is missing, start it, wait for its shell",
                    _demo, ["workstation demo", "workstation demo --headless"]),
    "list": Command("listing:show", "list the machines",
                    _list, ["workstation list", "workstation list --tag demo --json"]),
    "show": Command("showing:show", "show one machine", machine_json, ["workstation show web"]),
    "create": Command("creating:create", "make a machine", _create, [
        "workstation create web --profile debian-12 --memory '4 GiB' --start --wait",
        "workstation create old --iso ~/Downloads/system.iso --disk '40 GiB'",
        "workstation create box --image ./disk.qcow2 --user maria",
        "workstation create web2 --from web",
        "workstation create lab -p ./lab.yaml -s 'memory=2 GiB' -s cpu.cores=2",
    ]),
    "start": Command("machines:start", "start a machine; a frozen one goes on", _start, [
        "workstation start web", "workstation start web --wait", "workstation start web --cold",
    ]),
    "stop": Command("machines:stop", "shut a machine down: the power button, then harder means",
                    _stop, ["workstation stop web", "workstation stop web --force"]),
    "pause": Command("machines:pause", "pause a machine", machine_json, ["workstation pause web"]),
    "resume": Command("suspending:resume", "let paused and frozen machines go on",
                      several_machines, ["workstation resume web", "workstation resume --all"]),
    "reset": Command("machines:reset", "press a machine's reset button",
                     machine_json, ["workstation reset web"]),
    "edit": Command("editing:edit", "edit a machine's file in $EDITOR, and check it",
                    machine_json, ["workstation edit web", "EDITOR=nano workstation edit web"]),
    "delete": Command("machines:delete", "delete a machine and its disks",
                      _delete, ["workstation delete web", "workstation delete web --yes"]),
}  # fmt: skip

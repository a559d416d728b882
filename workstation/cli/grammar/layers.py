"""The commands about frozen layers: snapshots, branches, memory on the disk."""

from __future__ import annotations

from workstation.cli.grammar.shared import machine_json, several_machines, snapshot
from workstation.cli.parser import Command, Grammar, Group, Parser


def _one_or_group(parser: Parser) -> None:
    parser.named("name", metavar="NAME", help="a machine; with --group a tag that machines carry",
                 completer="machines_and_tags")  # fmt: skip
    parser.add_argument("--group", action="store_true",
                        help="all machines that carry the tag NAME, together")  # fmt: skip


def _snapshot(parser: Parser) -> None:
    _one_or_group(parser)
    parser.add_argument("tag", metavar="TAG", help="the snapshot's name")
    parser.add_argument("--note", default="", help="a line on what it is")
    parser.add_argument("--disks-only", action="store_true",
                        help="without the guest's memory: going back boots it")  # fmt: skip
    parser.json()


def _revert(parser: Parser) -> None:
    _one_or_group(parser)
    snapshot(parser, "tag", metavar="TAG", help="a snapshot")
    parser.add_argument("--discard", action="store_true",
                        help="lose what was written since the last snapshot")  # fmt: skip
    parser.json()


def _golden(parser: Parser) -> None:
    parser.machine()
    snapshot(
        parser, "tag", metavar="TAG", nargs="?", default="", help="a snapshot; without it, now"
    )
    parser.json()


def _clone(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("new", metavar="NEW", help="the new machine's name")
    snapshot(parser, "--at", metavar="TAG", default="", help="branch off there; without it, now")
    parser.add_argument("--full", action="store_true",
                        help="copy every disk: it shares nothing, and boots cold")  # fmt: skip
    parser.json()


def _machine_tag(parser: Parser) -> None:
    parser.machine()
    snapshot(parser, "tag", metavar="TAG", help="a snapshot")
    parser.json()


def _rename(parser: Parser) -> None:
    parser.machine()
    snapshot(parser, "tag", metavar="OLD", help="a snapshot")
    parser.add_argument("new", metavar="NEW", help="its new name")
    parser.json()


def _delete_snapshot(parser: Parser) -> None:
    parser.machine()
    snapshot(parser, "tag", metavar="TAG", help="a snapshot")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.json()


def _collect(parser: Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say how much")
    parser.json()


def _check(parser: Parser) -> None:
    parser.add_argument("--repair", action="store_true", help="mend what can be mended")
    parser.json()


COMMANDS: Grammar = {
    "snapshot": Command("layers:snapshot", "freeze a machine as it is now, memory too", _snapshot, [
        "workstation snapshot web before --note 'before the upgrade'",
        "workstation snapshot web tidy --disks-only",
        "workstation snapshot --group lab monday",
    ]),
    "revert": Command("layers:revert", "go back to a snapshot", _revert, [
        "workstation revert web before", "workstation revert --group lab monday --discard",
    ]),
    "golden": Command("layers:golden", "mark the moment that reset-demo goes back to",
                      _golden, ["workstation golden web", "workstation golden web before"]),
    "reset-demo": Command("layers:reset_demo", "go back to the golden moment, from any state",
                          machine_json, ["workstation reset-demo web"]),
    "suspend": Command("suspending:suspend", "memory to the disk, process gone; resume goes on",
                       several_machines, ["workstation suspend web", "workstation suspend --all"]),
    "clone": Command("layers:clone", "make a new machine that branches off this one", _clone, [
        "workstation clone web web-two", "workstation clone web web-two --at before --full",
    ]),
    "history": Command("history:history", "draw a machine's layers as a tree",
                       machine_json, ["workstation history web"]),
    "snapshots": Group("list, rename and delete snapshots", {
        "list": Command("layers:show_all", "list a machine's snapshots",
                        machine_json, ["workstation snapshots list web"]),
        "rename": Command("layers:rename", "give a snapshot another name",
                          _rename, ["workstation snapshots rename web before older"]),
        "delete": Command("layers:delete", "delete a snapshot, and what nothing else stands on",
                          _delete_snapshot, ["workstation snapshots delete web before --yes"]),
    }),
    "squash": Command("layers:squash", "merge a snapshot into what stands on it",
                      _machine_tag, ["workstation squash web before"]),
    "compact": Command("layers:compact", "give back the room that a machine does not need",
                       machine_json, ["workstation compact web"]),
    "store": Group("look after the frozen layers of all machines", {
        "gc": Command("store:collect", "delete the layers that no machine stands on",
                      _collect, ["workstation store gc", "workstation store gc --dry-run"]),
        "check": Command("store:check", "look whether every layer is whole",
                         _check, ["workstation store check", "workstation store check --repair"]),
    }),
}  # fmt: skip

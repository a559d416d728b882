"""The commands that change a machine: what is plugged into it, and its ports."""

from __future__ import annotations

from workstation.cli.grammar.shared import machine_json, only_json
from workstation.cli.parser import Command, Grammar, Group, Parser


def _network(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("state", choices=["on", "off"], metavar="on|off")
    parser.json()


def _set(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("settings", metavar="KEY=VALUE", nargs="+",
                        help="keys of the profile, as create --set takes them")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
    parser.json()


def _forward(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("forward", metavar="HOST:GUEST", help="such as 8080:80 or 5353:53/udp")
    parser.json()


def _add_forward(parser: Parser) -> None:
    _forward(parser)
    parser.add_argument("--network", type=int, choices=range(8), default=0, metavar="NUMBER",
                        help="which adapter, from 0 (0)")  # fmt: skip


def _usb(parser: Parser) -> None:
    parser.machine()
    parser.named("kind", metavar="VENDOR:PRODUCT", help="as usb list prints it",
                 completer="usb_kinds")  # fmt: skip
    parser.json()


COMMANDS: Grammar = {
    "set": Command("changing:set_", "change a machine's profile, and say what takes effect when",
                   _set, [
        "workstation set web 'memory=2 GiB' cpu.cores=2",
        "workstation set web 'drives[1].size=10 GiB'",
        "workstation set web 'cdroms[0].image=/isos/tools.iso' --dry-run",
    ]),
    "forward": Group("open and close ports of this computer that lead into a guest", {
        "list": Command("changing:forward_list", "list a machine's forwards",
                        machine_json, ["workstation forward list web"]),
        "add": Command("changing:forward_add", "open a port into the guest, at once where it runs",
                       _add_forward, ["workstation forward add web 8080:80",
                                      "workstation forward add web 8000-8010:8000-8010"]),
        "remove": Command("changing:forward_remove", "close it again",
                          _forward, ["workstation forward remove web 8080:80"]),
    }),
    "usb": Group("hand USB devices of this computer to guests", {
        "list": Command("changing:usb_list", "list what is plugged in",
                        only_json, ["workstation usb list"]),
        "attach": Command("changing:usb_attach", "hand a device to a machine's guest",
                          _usb, ["workstation usb attach web 046d:c52b"]),
        "detach": Command("changing:usb_detach", "take it back",
                          _usb, ["workstation usb detach web 046d:c52b"]),
    }),
    "network": Command("machines:network", "plug a running guest's network in, or pull it out",
                       _network, ["workstation network copy on"]),
}  # fmt: skip

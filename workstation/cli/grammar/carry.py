"""The commands that take machines along, and bring them in."""

from __future__ import annotations

from workstation.cli.grammar.shared import machine_json, only_json, snapshot
from workstation.cli.parser import Command, Grammar, Group, Parser

FORMATS = ("ova", "qcow2", "raw", "vmdk", "vhdx", "vdi", "libvirt")
"""Of other programs; a test compares them with those that the core knows."""


def _export(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("file", metavar="FILE",
                        help="NAME.vmbundle, its directory, or “-” for a pipe")  # fmt: skip
    snapshot(
        parser, "--tag", metavar="TAG", default="", help="only this snapshot, and what is below"
    )
    snapshot(
        parser, "--since", metavar="TAG", default="", help="only what came after this snapshot"
    )
    parser.add_argument("--flatten", action="store_true", help="one compact layer, no history")
    parser.add_argument("--compress", choices=["zstd"], help="smaller; it still runs in place")
    parser.add_argument("--no-memory", action="store_true", help="disks only: it boots there")
    parser.add_argument("--format", choices=FORMATS, default="",
                        help="as another program takes it, without history and memory")  # fmt: skip
    parser.add_argument("--encrypt", action="store_true", help="behind a passphrase")
    _passphrase(parser)
    parser.json()


def _passphrase(parser: Parser) -> None:
    parser.add_argument("--passphrase-file", metavar="FILE", default="",
                        help="its first line is the passphrase; else it is asked for")  # fmt: skip


def _import(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE",
                        help="a bundle, or “-” for a pipe; an OVA, .ovf, disk image, disc, libvirt"
                        " XML or Quickemu .conf")  # fmt: skip
    parser.add_argument("--name", default="", help="what the machine is called here")
    parser.add_argument("--load-memory", metavar="FINGERPRINT", default="",
                        help="go on from the memory of a signer who is not trusted")  # fmt: skip
    parser.named("--into", metavar="NAME", default="", completer="machine_names",
                 help="bring the machine NAME up to date with it")  # fmt: skip
    parser.add_argument("--discard", action="store_true",
                        help="lose what was written there since the last snapshot")  # fmt: skip
    _passphrase(parser)
    parser.json()


def _open(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a bundle")
    parser.add_argument("--name", default="", help="what the machine is called here")
    _passphrase(parser)
    parser.add_argument("--load-memory", metavar="FINGERPRINT", default="",
                        help="go on from the memory of a signer who is not trusted")  # fmt: skip
    parser.add_argument("--cold", action="store_true", help="boot its disks, load no memory")
    parser.add_argument("--force", action="store_true", help="even if memory is short")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--settle", action="store_true", help="and copy it into the library then")
    how.add_argument("--no-verify", action="store_true",
                     help="end as soon as it runs; open screens verify its disks")  # fmt: skip
    parser.named("--for", dest="machine", metavar="NAME", default="", completer="machine_names",
                 help="only say that the bundle which NAME reads is there now")  # fmt: skip
    parser.json()


def _unlock(parser: Parser) -> None:
    parser.named("what", metavar="FILE|NAME", completer="machine_names",
                 help="a bundle, or the machine that reads it")  # fmt: skip
    parser.add_argument("--forget", action="store_true", help="ask for the passphrase again")
    _passphrase(parser)
    parser.json()


def _inspect(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a bundle, or what else can be imported")
    parser.add_argument("--verify", action="store_true", help="read all of it")
    _passphrase(parser)
    parser.json()


def _trust_add(parser: Parser) -> None:
    parser.add_argument("signer", metavar="SIGNER", help="a fingerprint, or a bundle of theirs")
    parser.add_argument("--name", default="", help="whose it is")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.json()


def _trust_remove(parser: Parser) -> None:
    parser.add_argument("signer", metavar="SIGNER", help="a name or a fingerprint")
    parser.json()


COMMANDS: Grammar = {
    "export": Command("carry:export", "put a machine into one file, to take it along", _export, [
        "workstation export web /media/STICK", "workstation export web web.vmbundle --flatten",
        "workstation export web - | ssh laptop workstation import -",
        "workstation export web web.ova --format ova",
    ]),
    "import": Command("carry:import_", "make a machine of a bundle, OVA or disk image", _import, [
        "workstation import web.vmbundle", "workstation import ~/Downloads/appliance.ova",
        "workstation import - --name web-two <web.vmbundle",
        "workstation import web-since-monday.vmbundle --into web",
    ]),
    "open": Command("inplace:open_", "run a bundle's machine from where it is", _open, [
        "workstation open /media/STICK/web.vmbundle",
        "workstation open web.vmbundle --name web-two --settle",
        "workstation open /mnt/web.vmbundle --for web",
    ]),
    "settle": Command("inplace:settle", "copy what a machine reads in a bundle into the library",
                      machine_json, ["workstation settle web"]),
    "unlock": Command("locked:unlock", "give an encrypted bundle's passphrase, until the log-out",
                      _unlock, ["workstation unlock web", "workstation unlock --forget web"]),
    "inspect": Command("carry:inspect", "say what is in a bundle, and whether it runs here",
                       _inspect, ["workstation inspect web.vmbundle --verify"]),
    "trust": Group("say whose bundles may go on from their memory", {
        "list": Command("trust:show", "print your fingerprint, and those that you trust",
                        only_json, ["workstation trust list"]),
        "add": Command("trust:add", "trust a signer", _trust_add, [
            "workstation trust add web.vmbundle --name Maria",
            "workstation trust add abcd-efgh-ijkl-mnop-qrst-uvwx --name Maria",
        ]),
        "remove": Command("trust:remove", "trust a signer no more",
                          _trust_remove, ["workstation trust remove Maria"]),
    }),
}  # fmt: skip

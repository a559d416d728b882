"""Every command: what does it, what it is for, its arguments, and how it is used.

Imported by `workstation list`: quick modules only.
"""

from __future__ import annotations

import argparse

from workstation import __version__
from workstation.cli.parser import Command, Grammar, Group, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = f"workstation {__version__}"
DESCRIPTION = """\
Virtual machines that live in the terminal, and travel as files.
Without a command, the screens open."""
EPILOG = """\
exit codes:
    0  done                                  7  QEMU did not start
    1  anything else                         8  this computer lacks something
    2  the call's words are off              9  not enough memory (--force starts it anyway)
    3  not found                            10  waited in vain
    4  the machine is busy                  11  QEMU refused
    5  a file has problems                 130  interrupted
    6  not possible in this state

To begin: workstation demo. To run a bundle: workstation FILE.vmbundle.
A command's own help: workstation help COMMAND."""


def _nothing(parser: Parser) -> None:
    pass


def _json(parser: Parser) -> None:
    parser.json()


def _machine(parser: Parser) -> None:
    parser.machine()


def _machine_json(parser: Parser) -> None:
    parser.machine()
    parser.json()


def _network(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("state", choices=["on", "off"])
    parser.json()


def _list(parser: Parser) -> None:
    parser.named("--tag", completer="tags", help="only those that carry this tag")
    parser.json()


def _logs(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("--qemu", action="store_true", help="what QEMU itself said instead")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--raw", action="store_true", help="the bytes as they are")
    how.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as it prints")


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
    parser.add_argument("-s", "--set", metavar="KEY=VALUE", action="append", default=[],
                        help="replace a value of the profile; may be repeated")  # fmt: skip
    parser.add_argument("--start", action="store_true", help="start it too")
    parser.json()


def _delete(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.json()


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


def _start(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("--wait", action="store_true", help="until its guest is ready")
    parser.add_argument("--timeout", type=_seconds, default=120.0, metavar="SECONDS",
                        help="how long to wait at most (120)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="even if memory is short")
    parser.add_argument("--cold", action="store_true",
                        help="boot a frozen machine's disks, and forget its memory")  # fmt: skip
    parser.json()


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"“{text}” is not a number of seconds from 0 to 86400")
    return seconds


def _stop(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("--force", action="store_true", help="at once, without asking the guest")
    parser.json()


def _shell(parser: Parser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])


def _profile(parser: Parser) -> None:
    parser.named("name", metavar="NAME", help="a profile, or a file", completer="profiles")
    parser.json()


def _files(parser: Parser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="a profile's file, or its name")
    parser.json()


def _named(group: Any, *names: str, completer: str, **options: Any) -> None:
    """An option within a group of the help; its values are completed as those of `named` are."""
    Parser.named(group, *names, completer=completer, **options)


def _pull(parser: Parser) -> None:
    parser.named("names", metavar="NAME", nargs="+", help="images", completer="images")
    parser.add_argument("--again", action="store_true", help="also what is here already")
    parser.json()


def _add_image(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a disk image or a disc")
    parser.add_argument("--name", dest="called", default="", help="other than the file's")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--move", action="store_true", help="move it instead of copying it")
    how.add_argument("--link", action="store_true",
                     help="leave it where it is, copy nothing; it becomes read-only")  # fmt: skip
    parser.json()


def _images(parser: Parser) -> None:
    parser.named("names", metavar="NAME", nargs="+", help="images", completer="images")
    parser.json()


def _any_images(parser: Parser) -> None:
    parser.named("names", metavar="NAME", nargs="*", help="images; all", completer="images")
    parser.json()


def _recipe(parser: Parser) -> None:
    parser.named("name", metavar="NAME", help="an image", completer="recipes")
    parser.json()


# -- guests ---------------------------------------------------------------------


def _exec(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("words", metavar="COMMAND", nargs="+",
                        help="a program of the guest and its arguments, after “--”")  # fmt: skip
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS",
                        help="end it after that long; without it, wait for its end")  # fmt: skip
    parser.add_argument("--input", action="store_true",
                        help="give it what standard input has, 32 KiB at most")  # fmt: skip
    parser.json()


def _wait(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("--for", dest="what", required=True, metavar="WHAT",
                        help="agent, setup, port:NUMBER or text:TEXT")  # fmt: skip
    parser.add_argument("--timeout", type=_seconds, default=120.0, metavar="SECONDS",
                        help="how long to wait at most (120)")  # fmt: skip
    parser.json()


def _setup(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("--forget", action="store_true", help="take what sets it up away now")
    parser.json()


def _ssh(parser: Parser) -> None:
    parser.add_argument("--user", metavar="USER", default="", help="who logs in")
    parser.add_argument("--new-host-key", action="store_true",
                        help="forget its host keys: it was set up anew")  # fmt: skip
    parser.machine()
    parser.add_argument("words", metavar="COMMAND", nargs=argparse.REMAINDER,
                        help="a command and its arguments; without one, a shell")  # fmt: skip


def _cp(parser: Parser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="FILE, or NAME:PATH in a machine")
    parser.add_argument("target", metavar="TARGET", help="the same; one side is in a machine")
    parser.add_argument("-r", "--recursive", action="store_true", help="directories too")
    parser.add_argument("--user", metavar="USER", default="", help="who logs in")
    parser.add_argument("--agent", action="store_true", help="through the agent, as root")
    parser.json()


# -- changes --------------------------------------------------------------------


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


# -- layers ---------------------------------------------------------------------


def _tag(parser: Parser, *names: str, **options: Any) -> None:
    """A snapshot of the machine that was named before it."""

    def known(parsed_args: Any, **_: object) -> list[str]:
        from workstation.cli.completion import snapshots

        return snapshots(parsed_args.name)

    parser.add_argument(*names, **options).completer = known  # type: ignore[attr-defined]


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
    _tag(parser, "tag", metavar="TAG", help="a snapshot")
    parser.add_argument("--discard", action="store_true",
                        help="lose what was written since the last snapshot")  # fmt: skip
    parser.json()


def _golden(parser: Parser) -> None:
    parser.machine()
    _tag(parser, "tag", metavar="TAG", nargs="?", default="", help="a snapshot; without it, now")
    parser.json()


def _several(parser: Parser) -> None:
    parser.named("names", metavar="NAME", nargs="*", help="machines", completer="machine_names")
    parser.add_argument("--all", action="store_true", help="every machine that this fits")
    parser.json()


def _clone(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("new", metavar="NEW", help="the new machine's name")
    _tag(parser, "--at", metavar="TAG", default="", help="branch off there; without it, now")
    parser.add_argument("--full", action="store_true",
                        help="copy every disk: it shares nothing, and boots cold")  # fmt: skip
    parser.json()


def _machine_tag(parser: Parser) -> None:
    parser.machine()
    _tag(parser, "tag", metavar="TAG", help="a snapshot")
    parser.json()


def _rename(parser: Parser) -> None:
    parser.machine()
    _tag(parser, "tag", metavar="OLD", help="a snapshot")
    parser.add_argument("new", metavar="NEW", help="its new name")
    parser.json()


def _delete_snapshot(parser: Parser) -> None:
    parser.machine()
    _tag(parser, "tag", metavar="TAG", help="a snapshot")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.json()


# -- bundles --------------------------------------------------------------------

FORMATS = ("ova", "qcow2", "raw", "vmdk", "vhdx", "vdi", "libvirt")
"""Of other programs; a test compares them with those that the core knows."""


def _export(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("file", metavar="FILE",
                        help="NAME.vmbundle, its directory, or “-” for a pipe")  # fmt: skip
    _tag(parser, "--tag", metavar="TAG", default="", help="only this snapshot, and what is below")
    _tag(parser, "--since", metavar="TAG", default="", help="only what came after this snapshot")
    parser.add_argument("--flatten", action="store_true", help="one compact layer, no history")
    parser.add_argument("--compress", choices=["zstd"], help="smaller, for sending")
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
    _passphrase(parser)
    parser.json()


def _open(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a bundle")
    parser.add_argument("--name", default="", help="what the machine is called here")
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


def _collect(parser: Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say how much")
    parser.json()


def _check(parser: Parser) -> None:
    parser.add_argument("--repair", action="store_true", help="mend what can be mended")
    parser.json()


COMMANDS: Grammar = {
    "demo": Command("demo:demo", "make the demo where it is missing, start it, wait for its shell",
                    _demo, ["workstation demo", "workstation demo --headless"]),
    "list": Command("listing:show", "list the machines",
                    _list, ["workstation list", "workstation list --tag demo --json"]),
    "show": Command("showing:show", "show one machine", _machine_json, ["workstation show web"]),
    "create": Command("creating:create", "make a machine", _create, [
        "workstation create web --profile debian-12 --memory '4 GiB' --start",
        "workstation create old --iso ~/Downloads/system.iso --disk '40 GiB'",
        "workstation create box --image ./disk.qcow2", "workstation create web2 --from web",
        "workstation create lab -p ./lab.yaml -s 'memory=2 GiB' -s cpu.cores=2",
    ]),
    "start": Command("machines:start", "start a machine; a frozen one goes on", _start, [
        "workstation start web", "workstation start web --wait", "workstation start web --cold",
    ]),
    "stop": Command("machines:stop", "shut a machine down: the power button, then harder means",
                    _stop, ["workstation stop web", "workstation stop web --force"]),
    "pause": Command("machines:pause", "pause a machine", _machine_json, ["workstation pause web"]),
    "resume": Command("suspending:resume", "let paused and frozen machines go on",
                      _several, ["workstation resume web", "workstation resume --all"]),
    "reset": Command("machines:reset", "press a machine's reset button",
                     _machine_json, ["workstation reset web"]),
    "set": Command("changing:set_", "change a machine's profile, and say what takes effect when",
                   _set, [
        "workstation set web 'memory=2 GiB' cpu.cores=2",
        "workstation set web 'drives[1].size=10 GiB'",
        "workstation set web 'cdroms[0].image=/isos/tools.iso' --dry-run",
    ]),
    "forward": Group("open and close ports of this computer that lead into a guest", {
        "list": Command("changing:forward_list", "list a machine's forwards",
                        _machine_json, ["workstation forward list web"]),
        "add": Command("changing:forward_add", "open a port into the guest, at once where it runs",
                       _add_forward, ["workstation forward add web 8080:80",
                                      "workstation forward add web 8000-8010:8000-8010"]),
        "remove": Command("changing:forward_remove", "close it again",
                          _forward, ["workstation forward remove web 8080:80"]),
    }),
    "usb": Group("hand USB devices of this computer to guests", {
        "list": Command("changing:usb_list", "list what is plugged in",
                        _json, ["workstation usb list"]),
        "attach": Command("changing:usb_attach", "hand a device to a machine's guest",
                          _usb, ["workstation usb attach web 046d:c52b"]),
        "detach": Command("changing:usb_detach", "take it back",
                          _usb, ["workstation usb detach web 046d:c52b"]),
    }),
    "network": Command("machines:network", "plug a running guest's network in, or pull it out",
                       _network, ["workstation network copy on"]),
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
    "exec": Command("guests:execute", "run a command in a guest, by its agent", _exec, [
        "workstation exec web -- systemctl is-active nginx",
        "workstation exec web --timeout 60 --json -- apt-get update",
    ]),
    "ssh": Command("ssh:ssh", "log into a guest, or run a command there", _ssh, [
        "workstation ssh web", "workstation ssh web uptime",
        "workstation ssh --user root web journalctl -n 20",
    ]),
    "cp": Command("ssh:cp", "copy files into a guest, or out of it", _cp, [
        "workstation cp page.html web:/var/www/", "workstation cp web:/etc/hosts .",
    ]),
    "ssh-config": Command("ssh:ssh_config", "write a file that ssh's Include takes",
                          _json, ["workstation ssh-config"]),
    "wait": Command("guests:wait", "wait until a guest can be worked with", _wait, [
        "workstation wait web --for agent", "workstation wait web --for port:22 --timeout 300",
        "workstation wait web --for 'text:login:'", "workstation wait web --for setup",
    ]),
    "setup": Command("guests:setup", "say whether a new machine's system is set up", _setup, [
        "workstation setup web", "workstation setup web --forget",
    ]),
    "edit": Command("editing:edit", "edit a machine's file in $EDITOR, and check it",
                    _machine_json, ["workstation edit web", "EDITOR=nano workstation edit web"]),
    "delete": Command("machines:delete", "delete a machine and its disks",
                      _delete, ["workstation delete web", "workstation delete web --yes"]),
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
                          _machine_json, ["workstation reset-demo web"]),
    "suspend": Command("suspending:suspend", "memory to the disk, process gone; resume goes on",
                       _several, ["workstation suspend web", "workstation suspend --all"]),
    "clone": Command("layers:clone", "make a new machine that branches off this one", _clone, [
        "workstation clone web web-two", "workstation clone web web-two --at before --full",
    ]),
    "history": Command("history:history", "draw a machine's layers as a tree",
                       _machine_json, ["workstation history web"]),
    "snapshots": Group("list, rename and delete snapshots", {
        "list": Command("layers:show_all", "list a machine's snapshots",
                        _machine_json, ["workstation snapshots list web"]),
        "rename": Command("layers:rename", "give a snapshot another name",
                          _rename, ["workstation snapshots rename web before older"]),
        "delete": Command("layers:delete", "delete a snapshot, and what nothing else stands on",
                          _delete_snapshot, ["workstation snapshots delete web before --yes"]),
    }),
    "squash": Command("layers:squash", "merge a snapshot into what stands on it",
                      _machine_tag, ["workstation squash web before"]),
    "compact": Command("layers:compact", "give back the room that a machine does not need",
                       _machine_json, ["workstation compact web"]),
    "export": Command("carry:export", "put a machine into one file, to take it along", _export, [
        "workstation export web /media/STICK", "workstation export web web.vmbundle --flatten",
        "workstation export web - | ssh laptop workstation import -",
        "workstation export web web.ova --format ova",
    ]),
    "import": Command("carry:import_", "make a machine of a bundle, OVA or disk image", _import, [
        "workstation import web.vmbundle", "workstation import ~/Downloads/appliance.ova",
        "workstation import - --name web-two <web.vmbundle",
    ]),
    "open": Command("inplace:open_", "run a bundle's machine from where it is", _open, [
        "workstation open /media/STICK/web.vmbundle",
        "workstation open web.vmbundle --name web-two --settle",
        "workstation open /mnt/web.vmbundle --for web",
    ]),
    "settle": Command("inplace:settle", "copy what a machine reads in a bundle into the library",
                      _machine_json, ["workstation settle web"]),
    "inspect": Command("carry:inspect", "say what is in a bundle, and whether it runs here",
                       _inspect, ["workstation inspect web.vmbundle --verify"]),
    "trust": Group("say whose bundles may go on from their memory", {
        "list": Command("trust:show", "print your fingerprint, and those that you trust",
                        _json, ["workstation trust list"]),
        "add": Command("trust:add", "trust a signer", _trust_add, [
            "workstation trust add web.vmbundle --name Maria",
            "workstation trust add abcd-efgh-ijkl-mnop-qrst-uvwx --name Maria",
        ]),
        "remove": Command("trust:remove", "trust a signer no more",
                          _trust_remove, ["workstation trust remove Maria"]),
    }),
    "store": Group("look after the frozen layers of all machines", {
        "gc": Command("store:collect", "delete the layers that no machine stands on",
                      _collect, ["workstation store gc", "workstation store gc --dry-run"]),
        "check": Command("store:check", "look whether every layer is whole",
                         _check, ["workstation store check", "workstation store check --repair"]),
    }),
    "profile": Group("look at and check profiles", {
        "list": Command("profiles:show_all", "list the profiles",
                        _json, ["workstation profile list"]),
        "show": Command("profiles:show", "print a profile with its defaults",
                        _profile, ["workstation profile show debian-12"]),
        "validate": Command("profiles:validate", "check profiles",
                            _files, ["workstation profile validate ./lab.yaml"]),
        "schema": Command("profiles:schema", "print the profiles' JSON Schema",
                          _nothing, ["workstation profile schema >schema.json"]),
    }),
    "images": Group("get, build and look after images", {
        "list": Command("images:show", "list the images that are here or can be had",
                        _json, ["workstation images list"]),
        "pull": Command("images:pull", "download images of the catalog", _pull, [
            "workstation images pull debian-12 alpine", "workstation images pull arch --again",
        ]),
        "add": Command("images:add", "take a disk image or a disc into the library", _add_image, [
            "workstation images add ~/Downloads/Win11.iso --name windows-11",
            "workstation images add ./big.qcow2 --link",
        ]),
        "remove": Command("images:remove", "take images out of the library",
                          _images, ["workstation images remove debian-12"]),
        "verify": Command("images:verify", "look whether images are as they were",
                          _any_images, ["workstation images verify"]),
        "build": Command("images:build", "build an image from its recipe",
                         _recipe, ["workstation images build debian"]),
    }),
    "doctor": Command("host:doctor", "say what this computer has and lacks, and how to mend it",
                      _json, ["workstation doctor", "workstation doctor --json"]),
    "completion": Command("completion:show", "print a shell's completion code",
                          _shell, ['eval "$(workstation completion bash)"']),
}  # fmt: skip

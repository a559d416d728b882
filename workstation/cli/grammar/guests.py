"""The commands that work inside a guest."""

from __future__ import annotations

import argparse

from workstation.cli.grammar.shared import duration, only_json
from workstation.cli.parser import Command, Grammar, Parser


def _exec(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("words", metavar="COMMAND", nargs="+",
                        help="a program of the guest and its arguments, after “--”")  # fmt: skip
    parser.add_argument("--timeout", type=duration, metavar="SECONDS",
                        help="end it after that long; without it, wait for its end")  # fmt: skip
    parser.add_argument("--input", action="store_true",
                        help="give it what standard input has, 32 KiB at most")  # fmt: skip
    parser.json()


def _wait(parser: Parser) -> None:
    parser.machine()
    parser.add_argument("--for", dest="what", required=True, metavar="WHAT",
                        help="agent, setup, port:NUMBER or text:TEXT")  # fmt: skip
    parser.add_argument("--timeout", type=duration, default=120.0, metavar="SECONDS",
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


COMMANDS: Grammar = {
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
                          only_json, ["workstation ssh-config"]),
    "wait": Command("guests:wait", "wait until a guest can be worked with", _wait, [
        "workstation wait web --for agent", "workstation wait web --for port:22 --timeout 300",
        "workstation wait web --for 'text:login:'", "workstation wait web --for setup",
    ]),
    "setup": Command("guests:setup", "say whether a new machine's system is set up", _setup, [
        "workstation setup web", "workstation setup web --forget",
    ]),
}  # fmt: skip

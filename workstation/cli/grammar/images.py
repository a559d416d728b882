"""The commands about what machines are made from: profiles and images."""

from __future__ import annotations

from workstation.cli.grammar.shared import only_json
from workstation.cli.parser import Command, Grammar, Group, Parser


def _nothing(parser: Parser) -> None:
    pass


def _profile(parser: Parser) -> None:
    parser.named("name", metavar="NAME", help="a profile, or a file", completer="profiles")
    parser.json()


def _files(parser: Parser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="a profile's file, or its name")
    parser.json()


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


COMMANDS: Grammar = {
    "profile": Group("look at and check profiles", {
        "list": Command("profiles:show_all", "list the profiles",
                        only_json, ["workstation profile list"]),
        "show": Command("profiles:show", "print a profile with its defaults",
                        _profile, ["workstation profile show debian-12"]),
        "validate": Command("profiles:validate", "check profiles",
                            _files, ["workstation profile validate ./lab.yaml"]),
        "schema": Command("profiles:schema", "print the profiles' JSON Schema",
                          _nothing, ["workstation profile schema >schema.json"]),
    }),
    "images": Group("get, build and look after images", {
        "list": Command("images:show", "list the images that are here or can be had",
                        only_json, ["workstation images list"]),
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
}  # fmt: skip

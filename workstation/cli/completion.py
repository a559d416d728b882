"""Shell completion, by the argcomplete library: it asks this program for the names."""

from typing import TYPE_CHECKING

from workstation.paths import Paths, shipped

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def show(call: "Call") -> None:
    """Code for the shell: `eval "$(workstation completion bash)"`."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["workstation"], shell=call.shell))


def machine_names() -> list[str]:
    from workstation.core.library.names import names

    return names(Paths.from_environment())


def tags() -> list[str]:
    from workstation.core.library.overview import rows
    from workstation.roots import Roots

    return sorted({tag for row in rows(Roots()) for tag in row["tags"]})


def machines_and_tags() -> list[str]:
    return [*machine_names(), *tags()]


def snapshots(name: str) -> list[str]:
    """Of the machine, or of all that carry the tag; read without the model, which loads slowly."""
    import json
    from contextlib import suppress

    from workstation.core.library.overview import rows
    from workstation.roots import Roots

    paths, found = Paths.from_environment(), set[str]()
    members = [row["name"] for row in rows(Roots()) if name in (row["name"], *row["tags"])]
    for member in members:
        with suppress(OSError, ValueError, KeyError):
            found |= set(json.loads(paths.machine(member).history.read_text())["snapshots"])
    return sorted(found)


def profiles() -> list[str]:
    """The files' names only: loading each takes longer than a person waits for a key."""
    places = (shipped("profiles"), Paths.from_environment().profiles)
    return sorted({file.stem for place in places for file in place.glob("*.y*ml")})


def images() -> list[str]:
    from workstation.cli.images import known

    return known()


def recipes() -> list[str]:
    from workstation.core.images import Images

    return Images(Paths.from_environment()).recipes()


def usb_kinds() -> list[str]:
    """What is plugged in, as `VENDOR:PRODUCT`."""
    from workstation.core.host.usb import plugged_in

    return [device.kind for device in plugged_in()]

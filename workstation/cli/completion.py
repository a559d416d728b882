"""Shell completion, by the argcomplete library: it asks this program for the names."""

from typing import TYPE_CHECKING

from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def show(call: "Call") -> None:
    """Code for the shell: `eval "$(workstation completion bash)"`."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["workstation"], shell=call.shell))


def machine_names() -> list[str]:
    from workstation.core.names import names

    return names(Paths.from_environment())


def profile_names() -> list[str]:
    from workstation.profile.catalog import list_profiles

    return [entry.name for entry in list_profiles(Paths.from_environment())]


def recipe_names() -> list[str]:
    from workstation.core.images import Images

    return Images(Paths.from_environment()).recipes()

"""Shell completion, asked of bash itself with the code that the program prints."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import tiny
from workstation.core.workstation import Workstation
from workstation.paths import Paths

ROOT = Path(__file__).parent.parent

ASK = """
eval "$(workstation completion bash)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
COMP_WORDS=($1) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete workstation 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
async def shell(paths: Paths, environ: dict[str, str], home: Path) -> dict[str, str]:
    """An environment with the program on its PATH, and two machines."""
    async with Workstation(paths, watch=False) as station:
        await station.create("web-one", tiny(tags=["lab"]))
        await station.create("web-two", tiny())
    program = home / "bin" / "workstation"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m workstation "$@"\n')
    program.chmod(0o755)
    return environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}


def complete(shell: dict[str, str], line: str) -> set[str]:
    bash = shutil.which("bash") or pytest.skip("there is no bash")
    done = subprocess.run(
        [bash, "--norc", "-c", ASK, "bash", line], env=shell, text=True, capture_output=True,
        timeout=60, check=True,
    )  # fmt: skip
    return {word.strip() for word in done.stdout.splitlines()} - {""}


def test_bash_completes_commands_machines_profiles_and_options(shell: dict[str, str]) -> None:
    assert {"start", "stop"} <= complete(shell, "workstation st")
    assert complete(shell, "workstation show web-") == {"web-one", "web-two"}
    assert complete(shell, "workstation start web-o") == {"web-one"}
    assert complete(shell, "workstation create x --profile sales") == {"sales-demo"}
    assert complete(shell, "workstation profile show windows") == {"windows-11"}
    assert complete(shell, "workstation images build app") == {"appliance"}
    assert complete(shell, "workstation list --t") == {"--tag"}
    assert complete(shell, "workstation list --tag l") == {"lab"}


@pytest.mark.parametrize("kind", ["zsh", "fish"])
def test_other_shells_get_code_of_their_own(shell: dict[str, str], kind: str) -> None:
    done = subprocess.run(
        ["workstation", "completion", kind], env=shell, text=True, capture_output=True, check=True
    )
    assert "workstation" in done.stdout
    assert "_ARGCOMPLETE" in done.stdout

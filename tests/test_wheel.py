"""The wheel, installed into an empty environment: everything that the program needs is in it."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    return next(directory.glob("*.whl"))


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that has the wheel, and what it depends on by reference."""
    place = tmp_path_factory.mktemp("env")
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index",
         "--disable-pip-version-check", str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    site = next(place.glob("lib/python*/site-packages"))
    # After its own packages, so that the wheel's come first; .pth files there are not followed.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return place / "bin" / "workstation"


def run(program: Path, home: Path, *words: str) -> str:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "PYTHON"))
    }
    done = subprocess.run(
        [program, *words], env=kept | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")},
        cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_program_works_on_its_own_files(program: Path, home: Path) -> None:
    assert run(program, home, "--version").startswith("workstation ")
    assert run(program, home, "list").startswith("No machines yet")
    profiles = json.loads(run(program, home, "profile", "list", "--json"))
    inside = program.parent.parent
    assert all(Path(row["path"]).is_relative_to(inside) for row in profiles)
    assert {path.stem for path in (ROOT / "profiles").glob("*.yaml")} == {
        row["name"] for row in profiles
    }
    assert not [row["problem"] for row in profiles if row["problem"]]
    files = [row["path"] for row in profiles]
    assert run(program, home, "profile", "validate", *files).count(": valid") == len(files)
    assert "appliance" in run(program, home, "images", "list")


def test_the_wheel_has_every_file_of_profiles_and_images(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for kind in ("profiles", "images"):
            for path in (ROOT / kind).rglob("*"):
                inside = f"workstation/shipped/{path.relative_to(ROOT)}"
                if path.is_file():
                    assert inside in names
                    assert archive.read(inside) == path.read_bytes()
    assert not [name for name in names if name.startswith("tests/")]


def test_programs_of_the_guest_need_no_mode_that_a_wheel_could_lose() -> None:
    """The recipe takes what begins with `#!` for a program."""
    for path in (ROOT / "images").rglob("rootfs/**/*"):
        if path.is_file() and not path.is_symlink():
            assert os.access(path, os.X_OK) == path.read_bytes().startswith(b"#!"), path

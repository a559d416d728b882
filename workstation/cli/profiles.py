"""The commands about profiles."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from workstation.cli.table import table
from workstation.cli.trouble import complain
from workstation.errors import InvalidError, NotFoundError
from workstation.model.text import safe_line
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def show_all(call: "Call") -> None:
    """Every profile that a machine can be made from."""
    from workstation.profile.catalog import list_profiles

    entries = list_profiles(Paths.from_environment())
    if call.json:
        rows = [{"name": entry.name, "path": str(entry.path), "description": entry.description,
                 "problem": entry.problem} for entry in entries]  # fmt: skip
        print(json.dumps(rows, indent=2))
        return
    cells = [(entry.name, safe_line(entry.problem or entry.description)) for entry in entries]
    print(table(("NAME", "WHAT IT IS FOR"), cells))


def show(call: "Call") -> None:
    """A profile as it is understood, defaults included."""
    import yaml

    from workstation.profile.catalog import find_profile
    from workstation.profile.load import load_profile

    profile = load_profile(find_profile(Paths.from_environment(), call.name))
    data = profile.model_dump(mode="json")
    text = json.dumps(data, indent=2) if call.json else yaml.safe_dump(data, sort_keys=False)
    print(text.rstrip())


def validate(call: "Call") -> int:
    """Every problem of every file; 0 only where there is none."""
    from workstation.profile.catalog import find_profile
    from workstation.profile.load import load_profile
    from workstation.profile.problems import ProfileError

    code, rows = 0, []
    for file in call.files:
        try:
            path = Path(file)
            load_profile(path if path.exists() else find_profile(Paths.from_environment(), file))
            rows.append({"file": file, "valid": True, "problems": []})
        except (InvalidError, NotFoundError) as error:
            code = error.exit_code
            problems = error.problems if isinstance(error, ProfileError) else (error,)
            rows.append({"file": file, "valid": False, "problems": [str(p) for p in problems]})
            if not call.json:
                complain(error)
        else:
            if not call.json:
                print(f"{file}: valid")
    if call.json:
        print(json.dumps(rows, indent=2))
    return code


def schema(call: "Call") -> None:
    """For editors: yaml-language-server and others."""
    from workstation.profile.schema import schema_text

    print(schema_text().rstrip())

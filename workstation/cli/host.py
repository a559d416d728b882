"""`workstation doctor`."""

import asyncio
import json
import shutil
from typing import TYPE_CHECKING

from workstation.core.host.doctor import findings
from workstation.core.host.doctor_report import as_data, report
from workstation.errors import HostError
from workstation.model.host import Level
from workstation.paths import Paths

if TYPE_CHECKING:
    from workstation.cli.parser import Call


def doctor(call: "Call") -> int:
    """What was found, and how to mend it; not 0 where something will not work."""
    found = asyncio.run(findings(Paths.from_environment()))
    if call.json:
        print(json.dumps(as_data(found), indent=2))
    else:
        print(report(found, width=shutil.get_terminal_size((100, 24)).columns))
    bad = any(finding.level is Level.PROBLEM for finding in found)
    return HostError.exit_code if bad else 0

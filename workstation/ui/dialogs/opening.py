"""What a person wants to know of a file before it is opened, the most important first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.content import Content

from workstation.errors import WorkstationError
from workstation.model.text import safe_line
from workstation.model.units import format_size
from workstation.ui.dialogs.dialog import sentence

if TYPE_CHECKING:
    from workstation.core.bundle.inspection import Report
    from workstation.core.foreign.look import Looked
    from workstation.model.host import Finding


def trouble(error: WorkstationError) -> Content:
    lines = [Content.styled(sentence(safe_line(str(error), limit=300)), "$text-warning")]
    if error.hint:
        lines.append(Content.styled(f"→ {safe_line(error.hint, limit=300)}", "$text-accent"))
    return Content("\n").join(lines)


def of_bundle(report: Report) -> Iterator[Content]:
    """What a person wants to know before it runs, the most important first."""
    manifest, machine = report.manifest, report.manifest.machine
    made = time.strftime("%Y-%m-%d %H:%M", manifest.created.timetuple())
    by = f" by {safe_line(manifest.program, limit=40)}" if manifest.program else ""
    yield Content.assemble(
        (safe_line(machine.name, limit=40), "bold"),
        f"   made {made} UTC{by}   {format_size(report.size)}",
    )
    yield Content(f"{_holds(report)}, {_counted(len(manifest.layers), 'layer')}"
                  f", {_counted(len(machine.snapshots), 'snapshot')}")  # fmt: skip
    if report.cut_off:
        yield Content.styled("An export onto it was cut off: this is what was in it before.", "")
    yield from (_finding(finding) for finding in report.findings if _matters(finding))
    if report.updates:
        name, new = safe_line(report.updates, limit=40), bool(report.manifest.needed)
        only = "It holds only what is new. " if new else ""
        yield Content(f"{only}“{name}” is here already: Update brings it to this moment.")
    if not report.in_place and not report.manifest.needed:
        yield Content.styled("! It cannot run from where it is: import it.", "$text-warning")


def of_foreign(looked: Looked) -> Iterator[Content]:
    """What another program's file would become, and what of it would be lost."""
    profile = looked.profile
    yield Content.assemble((safe_line(looked.name, limit=40), "bold"), f"   {looked.kind}")
    yield Content(
        f"{_counted(profile.cpu.count, 'CPU')}, {format_size(profile.memory)} of memory,"
        f" {profile.boot.firmware}, {_counted(len(profile.drives), 'drive')},"
        f" {_counted(len(profile.networks), 'network adapter')}"
    )
    for text in looked.problems:
        yield Content.assemble(("✗ ", "$text-error"), safe_line(text, limit=300))
    for text in looked.dropped:
        yield Content.assemble(("! ", "$text-warning"), f"left out: {safe_line(text, limit=300)}")


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _holds(report: Report) -> str:
    if not report.manifest.machine.resume:
        return "It boots from its disks"
    return "It goes on where it was" if report.resumes else "With memory, but it boots here"


def _matters(finding: Finding) -> bool:
    return finding.level != "ok" or finding.subject == "signature"


def _finding(finding: Finding) -> Content:
    """`✗ memory: it ran under kvm, and here it would under tcg → boot it`"""
    sign, style = {"ok": ("✓", "$text-success"), "note": ("!", "$text-warning")}.get(
        finding.level, ("✗", "$text-error")
    )
    mend = f" → {finding.mend}" if finding.mend else ""
    text = safe_line(f"{finding.subject}: {finding.text}{mend}", limit=400)
    return Content.assemble((f"{sign} ", style), text)

"""Findings as text, and as data."""

from collections.abc import Sequence
from textwrap import wrap

from workstation.model.host import Finding, Level

GLYPHS = {Level.OK: "✓", Level.NOTE: "•", Level.PROBLEM: "✗"}


def report(findings: Sequence[Finding], *, width: int = 100) -> str:
    """A plain table: glyph and word of the level, subject, text, and how to mend it below."""
    subject_width = max((len(finding.subject) for finding in findings), default=0)
    lines = [line for finding in findings for line in _rows(finding, subject_width, width)]
    return "\n".join([*lines, "", _summary(findings)])


def as_data(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """For `--json`: `subject`, `level`, `text`, `mend`; `mend` may be empty."""
    return [
        {
            "subject": finding.subject,
            "level": finding.level.value,
            "text": finding.text,
            "mend": finding.mend,
        }
        for finding in findings
    ]


def _rows(finding: Finding, subject_width: int, width: int) -> list[str]:
    head = f"{GLYPHS[finding.level]} {finding.level:<7}  {finding.subject:<{subject_width}}  "
    room = max(20, width - len(head))
    texts = wrap(finding.text, room, break_on_hyphens=False)
    texts += wrap(finding.mend, room, initial_indent="→ ", break_on_hyphens=False)
    starts = [head, *(" " * len(head) for _ in texts)]
    return [(start + text).rstrip() for start, text in zip(starts, texts or [""], strict=False)]


def _summary(findings: Sequence[Finding]) -> str:
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    if not problems:
        return "Machines can run here."
    return "1 problem to mend." if problems == 1 else f"{problems} problems to mend."

"""One thing that is wrong in a file, with its place and what would be right."""

from dataclasses import dataclass

from workstation.errors import InvalidError
from workstation.model.text import safe_line

MOST_PROBLEMS = 100
"""A person mends a few at a time; a hostile file could hold a hundred thousand."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. All texts are safe to print on one line."""

    file: str
    line: int
    """From 1; 0 where there is no line to point at."""
    column: int
    """In characters, from 1; 0 where there is none."""
    key: str
    """Dotted: `drives[0].size`; empty for the file as a whole."""
    message: str = ""
    found: str = ""
    """What stands there, as a person would write it: `“1 Gib”`, `12`, `a list`."""
    allowed: str = ""
    suggestion: str = ""
    """What was probably meant."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.sentence) if part)

    @property
    def sentence(self) -> str:
        """The problem without its place."""
        # The long list of what is allowed helps only where nothing came close.
        listed = self.allowed if not (self.message and self.suggestion) else ""
        parts = (
            self.message,
            self.found and f"found {self.found}",
            listed and f"allowed: {listed}",
            self.suggestion and f"did you mean “{self.suggestion}”?",
        )
        return "; ".join(part for part in parts if part)


class ProfileError(InvalidError):
    """A profile, a machine file or a `--set` with problems; `problems` has them in file order."""

    def __init__(self, file: str, problems: list[Problem], *, hint: str = "") -> None:
        ordered = sorted(problems, key=lambda problem: (problem.line, problem.column))
        self.problems = tuple(ordered[:MOST_PROBLEMS])
        lines = [str(problem) for problem in self.problems]
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        if len(problems) > MOST_PROBLEMS:
            count = f"more than {MOST_PROBLEMS} problems"
            lines.append("and more")
        super().__init__(
            f"{safe_line(file)} has {count}",
            hint=hint,
            details="\n".join(lines),
        )


def quoted(value: object) -> str:
    """What was found, for a sentence: short, on one line, safe."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f"“{safe_line(value, limit=60)}”"
        case list():
            return "a list"
        case dict():
            return "a section"
    return safe_line(str(value), limit=60)

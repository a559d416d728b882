"""The end of what a guest printed, as plain lines that are safe to show."""

import re

from workstation.model.text import safe

_STRINGS = re.compile(
    # OSC, DCS, SOS, PM and APC run to BEL or ST; one that was cut off runs to the end of its line.
    r"\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"
)
_CLEAR = re.compile(r"\x1b(?:c|\[[23]J)")
_SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]|\x1b")
_ERASED = re.compile(r"[^\x08\n]\x08(?: \x08)?")


def preview(data: bytes, *, lines: int, width: int) -> list[str]:
    """The last `lines` lines of serial output, folded at `width` characters.

    What came before the guest last cleared its screen is left out, escape sequences are dropped,
    a carriage return starts its line over.
    """
    if lines <= 0 or width <= 0:
        return []
    text = data[-4 * lines * max(width, 80) :].decode("utf-8", "replace")
    text = _CLEAR.split(_STRINGS.sub("", text))[-1]
    text = _ERASED.sub("", _SEQUENCES.sub("", text)).strip("\r\n")
    shown: list[str] = []
    for line in text.split("\n")[-lines:] if text.strip() else []:
        shown += _folded(safe(_overwritten(line).expandtabs(8)).rstrip(), width)
    return shown[-lines:]


def _overwritten(line: str) -> str:
    """What a line shows after its carriage returns."""
    return line.rstrip("\r").rsplit("\r", 1)[-1]


def _folded(line: str, width: int) -> list[str]:
    return [line[start : start + width] for start in range(0, len(line), width)] or [""]

"""Text that came from a guest, a file or a stranger, made safe to show."""

import re

# C0 without tab and newline, DEL, C1; bidirectional controls (Unicode TR 9); line separators,
# lone surrogates (YAML can spell them, and no terminal can be written them).
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
    "\ud800-\udfff]"
)


def safe(text: str, *, limit: int = 10_000) -> str:
    """The text with every control and bidirectional character shown as U+FFFD, cut at `limit`."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return _UNSAFE.sub("\ufffd", text)


def safe_line(text: str, *, limit: int = 500) -> str:
    """The same on one line: tabs and newlines become spaces."""
    return safe(" ".join(text.split()), limit=limit)

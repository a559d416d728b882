"""The key that leaves a console, in the bytes that a terminal sends."""

_FUNCTION_KEYS = {
    **{f"f{number}": (f"\x1bO{letter}", f"\x1b[{code}~", f"\x1b[[{linux}")
       for number, letter, code, linux in zip(
           range(1, 5), "PQRS", (11, 12, 13, 14), "ABCD", strict=True)},
    "f5": ("\x1b[15~", "\x1b[[E"),
    **{f"f{number}": (f"\x1b[{code}~",)
       for number, code in zip(range(6, 13), (17, 18, 19, 20, 21, 23, 24), strict=True)},
}  # fmt: skip
"""As xterm sends them (its control sequences, “PC-style function keys”), older VT220s and the rxvt
family, and Linux' own console."""


def codes(key: str) -> tuple[bytes, ...]:
    """Each way in which terminals send a key of the settings: `ctrl+]`, `f12`."""
    if key in _FUNCTION_KEYS:
        return tuple(code.encode() for code in _FUNCTION_KEYS[key])
    return (bytes([ord(key.removeprefix("ctrl+").upper()) & 0x1F]),)


class Leaving:
    """Looks for the key in what is typed. Nothing is held back: of a key that comes in two pieces
    the guest gets the first one."""

    def __init__(self, key: str) -> None:
        self._codes = codes(key)
        self._last = b""

    def before(self, data: bytes) -> tuple[bytes, bool]:
        """What was typed before the key, and whether it was typed."""
        known, typed = len(self._last), self._last + data
        longest = max(map(len, self._codes))
        found = [at for code in self._codes if (at := typed.find(code)) >= 0]
        self._last = typed[len(typed) - longest + 1 :] if longest > 1 else b""
        if not found:
            return data, False
        return data[: max(0, min(found) - known)], True

"""Published lists of checksums, in each of the forms that distributions use.

HASH  NAME            sha256sum and its kin; `*` before a name that was read as binary
SHA256 (NAME) = HASH  BSD's, and Fedora's and AlmaLinux' CHECKSUM, inside a signed text or not
HASH                  a file that holds nothing else, for one image
"""

import hashlib
import re
from typing import NamedTuple

from workstation.errors import InvalidError

MOST_BYTES = 4 * 2**20
"""Of such a list; some name every file of a mirror."""

_BY_LENGTH = {64: "sha256", 96: "sha384", 128: "sha512"}
_GNU = re.compile(r"\\?([0-9A-Fa-f]{64,128})(?: [ *]|\t|\s+)(\S.*)")
_BSD = re.compile(r"(SHA-?(?:256|384|512))\s*\((.+)\)\s*=\s*([0-9A-Fa-f]{64,128})", re.IGNORECASE)
_BARE = re.compile(r"[0-9A-Fa-f]{64,128}")


class Checksum(NamedTuple):
    algorithm: str
    """As hashlib calls it."""
    value: str
    """Lower-case hexadecimal digits."""

    def new(self) -> "hashlib._Hash":
        return hashlib.new(self.algorithm)


def of_text(value: str) -> Checksum:
    """The checksum of that many digits; raises ValueError where none has so many."""
    if len(value) not in _BY_LENGTH or not _BARE.fullmatch(value):
        raise ValueError("not a SHA-256, SHA-384 or SHA-512")
    return Checksum(_BY_LENGTH[len(value)], value.lower())


def find(text: str, name: str, where: str) -> Checksum:
    """The checksum of the file of that name; the longest, where several are given.

    Raises InvalidError where the list does not have it, or has two that differ.
    """
    listed = parse(text)
    found = {checksum for known, checksum in listed if known.rpartition("/")[2] == name}
    if not found and len(listed) == 1:
        # A list of its own for one file; some name the build there, and not the address.
        found = {listed[0][1]}
    longest = {one for one in found if len(one.value) == max(len(it.value) for it in found)}
    if len(longest) == 1:
        return longest.pop()
    what = "two different checksums of" if longest else "no checksum of"
    raise InvalidError(
        f"{where} has {what} {name}",
        hint="the publisher may have renamed it: see the image's page, or try again later",
    )


def parse(text: str) -> list[tuple[str, Checksum]]:
    """Every file's name and checksum; the name is empty where the text is a checksum alone."""
    return [entry for line in text.splitlines() if (entry := _entry(line.strip()))]


def _entry(line: str) -> tuple[str, Checksum] | None:
    if match := _BSD.fullmatch(line):
        name, value = match[2], match[3]
    elif match := _GNU.fullmatch(line):
        name, value = match[2], match[1]
    elif _BARE.fullmatch(line):
        name, value = "", line
    else:
        return None
    try:
        return name.strip(), of_text(value)
    except ValueError:
        return None

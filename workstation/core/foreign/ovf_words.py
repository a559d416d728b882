"""Numbers and words in an OVF description, in ours."""

import re
from typing import TYPE_CHECKING

from workstation.core.foreign import xml
from workstation.errors import InvalidError
from workstation.model.profile import Family, Nic

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_WORDS = {"byte": 0, "bytes": 0, "b": 0, "kb": 10, "kilobytes": 10, "mb": 20, "megabytes": 20,
          "gb": 30, "gigabytes": 30, "tb": 40, "terabytes": 40}  # fmt: skip
_POWER = re.compile(r"byte(?:\*(\d{1,4})\^(\d{1,2}))?")
_LARGEST = 2**63


def in_bytes(number: str, units: str) -> int:
    """`4` of `byte * 2^30`, or of `GigaBytes`; raises InvalidError for what is neither."""
    words = units.replace(" ", "").lower()
    match = _POWER.fullmatch(words)
    if match:
        factor: int = int(match[1] or 1) ** int(match[2] or 1)
    elif words in _WORDS:
        factor = 2 ** _WORDS[words]
    else:
        raise InvalidError(f"“{units}” is no unit of bytes")
    return min(whole_number(number) * factor, _LARGEST)


def whole_number(text: str) -> int:
    """Raises InvalidError for what is none."""
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise InvalidError(f"“{text}” is no number")
    return int(text)


# -- words ----------------------------------------------------------------------

NICS = {"e1000": Nic.E1000, "e1000e": Nic.E1000E, "virtio": Nic.VIRTIO,
         "rtl8139": Nic.RTL8139}  # fmt: skip


def as_mac(text: str) -> str:
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2)) if len(digits) == 12 else ""


def format_of(url: str) -> str:
    """A key of `headers.DRIVERS`; empty where the format's name says none of them."""
    words = url.lower()
    for sign, name in (("vmdk", "vmdk"), ("qcow2", "qcow2"), ("vhdx", "vhdx"), ("vhd", "vhd"),
                       ("iso", "iso"), ("#raw", "raw")):  # fmt: skip
        if sign in words:
            return name
    return ""


_LINUX = re.compile(
    r"linux|debian|ubuntu|red ?hat|rhel|centos|fedora|suse|sles|oracle|arch|gentoo|alma|rocky"
    r"|coreos|photon|alpine|asianux|amazon|mandr"
)


def family_of(section: "Element | None") -> Family:
    box = xml.text(section, "OSType")
    words = f"{xml.text(section, 'Description')} {xml.attribute(section, 'osType')} {box}".lower()
    if "bsd" in words:
        return Family.BSD
    if "darwin" not in words and ("windows" in words or "win" in words):
        return Family.WINDOWS
    if _LINUX.search(words) or xml.attribute(section, "id") in ("36", "101"):
        return Family.LINUX
    return Family.OTHER

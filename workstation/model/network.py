"""Network adapters, and ports of this computer that lead into a guest."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, StringConstraints, WithJsonSchema, model_validator

from workstation.model.misfit import Misfit
from workstation.model.scalars import Flag, Mac, Port, in_words
from workstation.model.section import Section

MOST_IN_A_ROW = 100
"""Ports of one forward."""


class Forward(Section):
    """A port of the host that leads into the guest."""

    host: Port
    """Port of this computer."""
    guest: Port
    """Port of the guest."""
    protocol: Literal["tcp", "udp"] = "tcp"
    address: Literal["127.0.0.1", "0.0.0.0"] = "127.0.0.1"  # noqa: S104 (a choice, not a default)
    """127.0.0.1 (this computer only) or 0.0.0.0 (everybody who can reach it)."""
    count: Annotated[int, Field(ge=1, le=MOST_IN_A_ROW, strict=True)] = 1
    """How many ports in a row, from those on."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        match = _FORWARD.fullmatch(value)
        if not match:
            raise ValueError(
                "write HOST:GUEST: “8080:80”, “5353:53/udp”, “0.0.0.0:8080:80”"
                " or “8000-8010:8000-8010”"
            )
        host, guest = (_ports(*match.group(*pair)) for pair in ((2, 3), (4, 5)))
        if len(host) != len(guest):
            raise ValueError("both ranges have the same number of ports")
        parts = {
            "address": match[1],
            "host": host.start,
            "guest": guest.start,
            "count": len(host),
            "protocol": match[6],
        }
        return {key: part for key, part in parts.items() if part is not None}

    def misfits(self) -> Iterator[Misfit]:
        if max(self.host, self.guest) + self.count > 65536:
            yield Misfit("ports are numbers from 1 to 65535", "count")

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Each port of this computer, with the guest's that it leads to."""
        for step in range(self.count):
            yield self.host + step, self.guest + step

    def __str__(self) -> str:
        address = "" if self.address == "127.0.0.1" else f"{self.address}:"
        protocol = "" if self.protocol == "tcp" else f"/{self.protocol}"
        host, guest = (_in_a_row(port, self.count) for port in (self.host, self.guest))
        return f"{address}{host}:{guest}{protocol}"


_FORWARD = re.compile(
    r"(?:(127\.0\.0\.1|0\.0\.0\.0):)?([0-9]{1,5})(?:-([0-9]{1,5}))?"
    r":([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp))?"
)


def _ports(first: str, last: str | None) -> range:
    ports = range(int(first), int(last or first) + 1)
    if not (ports and ports.start >= 1 and ports.stop <= 65536):
        raise ValueError("ports are numbers from 1 to 65535, the smaller one first")
    if len(ports) > MOST_IN_A_ROW:
        raise ValueError(f"a range has at most {MOST_IN_A_ROW} ports")
    return ports


def _in_a_row(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}" if count > 1 else str(first)


ForwardText = Annotated[
    Forward,
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^([0-9.]+:)?[0-9]{1,5}(-[0-9]{1,5})?:[0-9]{1,5}(-[0-9]{1,5})?"
            r"(/(tcp|udp))?$",
            "patternErrorMessage": "HOST:GUEST such as “8080:80”, “5353:53/udp”,"
            " “0.0.0.0:8080:80” or “8000-8010:8000-8010”",
        }
    ),
]


class Nic(StrEnum):
    VIRTIO = "virtio"
    E1000E = "e1000e"
    E1000 = "e1000"
    RTL8139 = "rtl8139"


class Network(Section):
    mode: Literal["user", "passt", "private", "bridge", "tap", "none"] = "user"
    """`user`: the guest reaches out through the host, `passt`: the same by passt; `private`: with
    the machines that name the same network; `bridge`, `tap`: on what is set up on this computer;
    `none`: an unplugged adapter."""
    name: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$"),
            in_words("1 to 15 letters, digits, “_”, “.” and “-”, the first a letter or digit"),
        ]
        | None
    ) = None
    """The private network's name, or that of the bridge or tap device on this computer."""
    restrict: Flag = False
    """Cut the guest off from everything but its forwards."""
    model: Nic = Nic.VIRTIO
    """The adapter that the guest sees."""
    mac: Mac | None = None
    """The adapter's address; chosen and pinned when the machine is made."""
    forwards: Annotated[tuple[ForwardText, ...], Field(max_length=64)] = ()
    """Ports of this computer that lead into the guest: `8080:80`."""

    def misfits(self) -> Iterator[Misfit]:
        if self.forwards and self.mode not in ("user", "passt"):
            what = "only a network of mode user or passt forwards ports"
            yield Misfit(what, "forwards", ("mode",))
        if self.restrict and self.mode != "user":
            yield Misfit("only a network of mode user is restricted", "restrict", ("mode",))
        named = self.mode in ("private", "bridge", "tap")
        if named and not self.name:
            yield Misfit(f"a network of mode {self.mode} needs a name", "mode", ("name",))
        if self.name and not named:
            yield Misfit(f"a network of mode {self.mode} has no name", "name", ("mode",))

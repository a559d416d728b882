"""The scalars of a profile: text that is checked, sizes, ports, switches."""

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema
from pydantic.fields import FieldInfo

from workstation.model.units import exact_size, parse_size

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,39}$"
"""Names of machines and profiles: safe as a file name, a host name and in QEMU's options."""

MACHINE_PATTERN = r"^(pc|q35|microvm|pc-(i440fx|q35)-[a-z0-9]{1,20}(\.[0-9]{1,5}){0,3})$"
"""Distributions have versions of their own: `pc-q35-rhel9.6.0`, `pc-q35-noble`."""


def in_words(text: str) -> FieldInfo:
    """What a pattern allows, for a person; editors show it too, by this key of the schema."""
    field: FieldInfo = Field(json_schema_extra={"patternErrorMessage": text})
    return field


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"a unit is missing: “{value} MiB” or “{value} GiB”")
    try:
        return parse_size(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("write a size such as “512 MiB” or “20 GiB”") from None


Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(exact_size, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*([KMGTkmgt]i?[Bb]?|[Bb])\s*$",
         "patternErrorMessage": "a size such as “512 MiB” or “20 GiB”"}
    ),
]  # fmt: skip
"""Bytes; written with a unit."""

Line = Annotated[
    str,
    StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"),
    in_words("one line of at most 200 characters"),
]
"""One line of text without control characters."""

Name = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN),
    in_words("1 to 40 of a-z, 0-9, “.”, “_” and “-”, the first a letter or digit"),
]
Mac = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f][26ae](:[0-9a-f]{2}){5}$"),
    in_words("a local address in lower case, such as “52:54:00:12:34:56”"),
]
"""A locally administered unicast address, lower case: `52:54:00:12:34:56`."""

Tag = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,30}$"),
    in_words("1 to 30 letters, digits, “_”, “.” and “-”"),
]

Port = Annotated[int, Field(ge=1, le=65535, strict=True)]

Flag = Annotated[bool, Field(strict=True)]
"""true or false, and no word that only looks like it."""

ImageRef = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9][a-z0-9._-]{0,59}(/[A-Za-z0-9][A-Za-z0-9._-]{0,79})?|/[^\x00-\x1f\x7f]+)$"
    ),
    in_words("an image’s name, IMAGE/FILE of the image library, or an absolute path"),
]
"""`IMAGE` or `IMAGE/FILE` of the image library, or an absolute path on the host."""

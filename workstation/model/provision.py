"""What a new machine's system is to be set up with: the profile's `provision`.

It is used once, when the machine is made. Of all this the machine itself keeps the user's name:
the rest, secrets among it, lies in a disc that is thrown away when the first boot has finished.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from workstation.model.misfit import Misfit
from workstation.model.scalars import Flag, in_words
from workstation.model.section import Section

_HOST_PATH = r"^(/|~/)[^\x00-\x1f\x7f]*$"
_GUEST_PATH = r"^/[^\x00-\x1f\x7f]{0,500}$"

HostPath = Annotated[
    str,
    StringConstraints(pattern=_HOST_PATH),
    in_words("a path on this computer: absolute, or one that begins with ~/"),
]
GuestPath = Annotated[
    str, StringConstraints(pattern=_GUEST_PATH), in_words("an absolute path in the guest")
]
UserName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$"),
    in_words("a login name: up to 32 of a-z, 0-9, “_” and “-”, the first no digit"),
]
PublicKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\.com"
        r"|sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]{40,4000}={0,3}( [^\x00-\x1f\x7f]*)?$"
    ),
    in_words("a public SSH key, as a file NAME.pub has it: “ssh-ed25519 AAAA… comment”"),
]
Command = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00]+$", max_length=16_384),
    in_words("a command for the guest's shell"),
]


class GuestFile(Section):
    """A file that the guest gets."""

    path: GuestPath
    """Where it goes in the guest."""
    content: Annotated[str, StringConstraints(max_length=128 * 1024)] | None = None
    """What is in it."""
    source: HostPath | None = None
    """A file of this computer whose content it gets; at most 1 MiB, read when the machine is
    made."""
    mode: Annotated[
        str, StringConstraints(pattern=r"^0?[0-7]{3,4}$"), in_words("quoted octal, such as “0644”")
    ] = "0644"
    """Its permissions, quoted."""
    owner: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}(:[a-z_][a-z0-9_-]{0,31})?$"),
        in_words("USER or USER:GROUP"),
    ] = "root"
    """Whose it is: `USER`, or `USER:GROUP`."""

    def misfits(self) -> Iterator[Misfit]:
        if (self.content is None) == (self.source is None):
            yield Misfit("a file has either a content or a source", "", ("content", "source"))


class Mount(Section):
    """A share that the guest mounts at each boot."""

    share: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,30}$"), in_words("the tag of a share")
    ]
    """The tag of one of the `shares`."""
    path: GuestPath
    """Where in the guest."""


class Answers(StrEnum):
    """What reads the file that a person passes as it is."""

    USER_DATA = "user-data"
    IGNITION = "ignition"
    AUTOINSTALL = "autoinstall"
    KICKSTART = "kickstart"
    PRESEED = "preseed"


class AnswerFile(Section):
    """A file of a person's own, for what the system is set up by."""

    kind: Answers
    """`user-data` (cloud-init's), `ignition`, or the answers of an installer: `autoinstall`
    (Ubuntu), `kickstart` (Fedora and its kin), `preseed` (Debian)."""
    path: HostPath
    """A file of this computer; at most 1 MiB, read when the machine is made."""


class Provision(Section):
    """How a new machine's system is set up when it boots for the first time."""

    user: UserName | None = None
    """Who logs in; made where the system has no such user, and may become root by sudo."""
    ssh_key: Literal["auto", "own", "machine", "none"] = "auto"
    """The key that logs in: `own`, the public keys in ~/.ssh; `machine`, one made for this
    machine; `auto`, your own where you have one."""
    ssh_keys: Annotated[tuple[PublicKey, ...], Field(max_length=50)] = ()
    """Further public keys that may log in."""
    password: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,200}$"),
            in_words("a password, or its hash as crypt(5) writes it: “$6$…”"),
        ]
        | None
    ) = None
    """The user's password, or its hash (`$6$…`); only a hash of it is ever written down."""
    hostname: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^[a-z0-9]([a-z0-9-]{0,62})?(\.[a-z0-9][a-z0-9-]{0,62}){0,5}$"
            ),
            in_words("a host name: a-z, 0-9, “-” and “.”"),
        ]
        | None
    ) = None
    """What the system calls itself; the machine's name where it is not given."""
    packages: Annotated[
        tuple[
            Annotated[
                str,
                StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._:@/~-]{0,120}$"),
                in_words("a package's name"),
            ],
            ...,
        ],
        Field(max_length=500),
    ] = ()
    """Packages to install, by the guest's own package manager."""
    files: Annotated[tuple[GuestFile, ...], Field(max_length=200)] = ()
    """Files to write, before the commands run."""
    run: Annotated[tuple[Command, ...], Field(max_length=200)] = ()
    """Commands to run as root at the end of the first boot, in this order."""
    timezone: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$"),
            in_words("a time zone such as “Europe/Vienna” or “UTC”"),
        ]
        | None
    ) = None
    """The time zone, as in `Europe/Vienna`."""
    keyboard: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[a-z]{2,10}(-[a-z0-9_-]{1,30})?$"),
            in_words("a layout such as “de”, or “de-nodeadkeys”"),
        ]
        | None
    ) = None
    """The keyboard's layout: `de`, or with a variant `de-nodeadkeys`."""
    mounts: Annotated[tuple[Mount, ...], Field(max_length=8)] = ()
    """Shares that are mounted, now and at each boot."""
    update: Flag = False
    """Update all packages at the first boot."""
    answers: AnswerFile | None = None
    """A file of your own instead of all but the user."""

    @property
    def asked(self) -> bool:
        """Whether there is anything to set up in a new machine."""
        return bool(self.chosen())

    @property
    def beyond_user(self) -> set[str]:
        """What only a machine that is still to be made can have."""
        return self.chosen() - {"user"}

    @property
    def needs_disc(self) -> bool:
        """Whether it comes to the guest of a new machine as a disc."""
        return self.answers is None or self.answers.kind not in (
            Answers.IGNITION,
            Answers.PRESEED,
        )

    def chosen(self) -> set[str]:
        """The keys that are not as they are by default."""
        fields = type(self).model_fields
        return {key for key in fields if getattr(self, key) != fields[key].default}

    def misfits(self) -> Iterator[Misfit]:
        if self.answers:
            for key in sorted(self.chosen() - {"answers", "user"}):
                yield Misfit("answers take the place of this key", key, ("answers",))
        for key in ("password", "ssh_keys"):
            if getattr(self, key) and not self.user:
                yield Misfit(f"{key} needs a user: provision.user is missing", key, ("user",))

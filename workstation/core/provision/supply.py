"""A new machine gets its seed: host paths are read now, and never again."""

import gzip
import json
import secrets
import shutil
from io import BytesIO
from pathlib import Path
from uuid import UUID

from workstation.core.imaging.cpio import Archive
from workstation.core.provision import cloud, keys, passwords, seed
from workstation.core.provision.disc import write_disc
from workstation.core.provision.keys import KeyPair
from workstation.core.provision.seed import GENERATED, Seed
from workstation.errors import HostError, InvalidError, NotFoundError
from workstation.model.machine import Definition
from workstation.model.profile import Profile
from workstation.model.provision import AnswerFile, Answers
from workstation.paths import MachinePaths

LARGEST_FILE = 2**20
"""Bytes of a file of this computer that a guest gets."""

LARGEST_ALL = 16 * 2**20

_LABEL, _INSTALLER_LABEL = "cidata", "OEMDRV"
"""By which cloud-init (NoCloud) and Anaconda know their disc."""


def supply(profile: Profile, definition: Definition, machine: MachinePaths, home: Path) -> None:
    """Put into the machine what sets its system up.

    `profile` is the one with all its words, of which the definition keeps little.
    """
    if not profile.provision.asked:
        return
    name, uuid = definition.profile.name, definition.uuid
    # How a share is mounted was chosen when the profile was pinned, and so were the addresses.
    chosen = {"shares": definition.profile.shares, "networks": definition.profile.networks}
    profile = profile.model_copy(update=chosen)
    machine.seed.mkdir(mode=0o700)
    answers = profile.provision.answers
    seed.write(
        machine,
        _from_file(profile, answers, name, uuid, machine)
        if answers
        else _from_words(profile, name, uuid, machine, home),
    )


def _new(kind: str, uuid: UUID, cdrom: int) -> Seed:
    return Seed(kind, secrets.token_hex(12), f"workstation-{uuid}", cdrom)


def _from_words(profile: Profile, name: str, uuid: UUID, machine: MachinePaths, home: Path) -> Seed:
    provision = profile.provision
    made = _new(GENERATED, uuid, len(profile.cdroms))
    login, pair = keys.login_keys(provision, home, name)
    host = keys.make_pair(f"root@{name}")
    _remember_keys(machine, name, pair, host)
    given = cloud.Supplies(
        name=name,
        token=made.token,
        keys=login,
        host=host,
        password=passwords.hashed(provision.password) if provision.password else "",
        sources=_sources(profile),
    )
    user_data = cloud.user_data(profile, given)
    hostname = (provision.hostname or name).partition(".")[0]
    files = {"meta-data": cloud.meta_data(made.instance, hostname), "user-data": user_data}
    if networks := cloud.network_config(profile.networks):
        files["network-config"] = networks
    _write(seed.disc(machine), _LABEL, {key: text.encode() for key, text in files.items()})
    return made


def _remember_keys(machine: MachinePaths, name: str, pair: KeyPair | None, host: KeyPair) -> None:
    from workstation.core.guest import hosts

    machine.ssh.mkdir(mode=0o700)
    hosts.pin(machine, name, [host.public])
    if pair:
        private = machine.ssh / hosts.PRIVATE
        private.touch(mode=0o600)
        private.write_text(pair.private)
        private.with_suffix(".pub").write_text(pair.public + "\n")


def _sources(profile: Profile) -> dict[str, bytes]:
    files = profile.provision.files
    found = {file.path: read_source(file.source) for file in files if file.source}
    if sum(map(len, found.values())) > LARGEST_ALL:
        raise InvalidError("the files for the guest have more than 16 MiB together")
    return found


def read_source(written: str) -> bytes:
    """A file of this computer as it is now; raises NotFoundError, InvalidError, HostError."""
    path = Path(written).expanduser()
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}", hint="check the path in the profile")
    try:
        with path.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise InvalidError(
            f"{path} has more than 1 MiB", hint="share its directory with the guest instead"
        )
    return content


def _write(target: Path, label: str, files: dict[str, bytes]) -> None:
    try:
        write_disc(target, label, files)
    except OSError as error:
        raise HostError(f"{target} cannot be written: {error.strerror}") from error


# -- a person's own file ----------------------------------------------------------


def _from_file(
    profile: Profile, answers: AnswerFile, name: str, uuid: UUID, machine: MachinePaths
) -> Seed:
    content = read_source(answers.path)
    cdrom = len(profile.cdroms) if profile.provision.needs_disc else -1
    made = _new(answers.kind, uuid, cdrom)
    match answers.kind:
        case Answers.IGNITION:
            _check_json(answers.path, content)
            _put(seed.ignition(machine), content)
        case Answers.PRESEED:
            _add_to_initrd(machine, content)
        case Answers.KICKSTART:
            _write(seed.disc(machine), _INSTALLER_LABEL, {"ks.cfg": content})
        case _:
            _write(seed.disc(machine), _LABEL, _own_user_data(made, name, content))
    return made


def _own_user_data(made: Seed, name: str, content: bytes) -> dict[str, bytes]:
    """An installer's answers may come without the line by which cloud-init knows them."""
    if made.kind == Answers.AUTOINSTALL and not content.startswith(b"#"):
        content = cloud.HEADER.encode() + content
    return {
        "meta-data": cloud.meta_data(made.instance, name).encode(),
        "user-data": content,
        "vendor-data": cloud.vendor_data(made.token).encode(),
    }


def _check_json(path: str, content: bytes) -> None:
    try:
        json.loads(content)
    except ValueError as error:
        raise InvalidError(
            f"{path} is no Ignition file, which is JSON: {error}",
            hint="butane makes one of its YAML: butane --strict FILE.bu >FILE.ign",
        ) from error


def _put(target: Path, content: bytes) -> None:
    target.touch(mode=0o600)
    target.write_bytes(content)


def _add_to_initrd(machine: MachinePaths, content: bytes) -> None:
    """Debian's installer reads /preseed.cfg of its root file system, and the kernel unpacks one
    archive after the other into that."""
    archive, added = Archive(), BytesIO()
    archive.file("preseed.cfg", content)
    archive.write(added)
    target = seed.initrd(machine)
    target.touch(mode=0o600)
    with target.open("r+b") as written, machine.initrd.open("rb") as original:
        shutil.copyfileobj(original, written)
        # An archive begins at a multiple of four bytes (the kernel's buffer-format document).
        written.write(b"\0" * (-written.tell() % 4))
        written.write(gzip.compress(added.getvalue(), mtime=0))

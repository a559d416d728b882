"""Opening a bundle: its manifest, whose seal it bears, and where each file lies.

What is opened is cheap to open, whatever the bundle's size: the last 2 KiB say where the manifest
is. Where they do not (an export onto the file was cut off), the members are walked through, and
the last seal that is whole counts.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from workstation.core.bundle import chunks, seal, tape
from workstation.core.bundle.keys import fingerprint
from workstation.core.bundle.seal import Found
from workstation.core.bundle.vault import Vault, unlock
from workstation.errors import HostError, InvalidError, LockedError, NotFoundError
from workstation.model.bundle import BLOCK, Lock, Manifest, StoredFile, StoredLayer
from workstation.model.layer import Layer
from workstation.qemu import luks
from workstation.qemu.extent import Container, Extent

SUFFIX = ".vmbundle"


@dataclass(frozen=True)
class Bundle:
    """What is in a bundle. Its manifest is as it was signed; the files' content is not checked."""

    path: Path
    manifest: Manifest
    signer: str
    """The fingerprint of the key that signed it."""
    cut_off: bool
    """Something was being added, and is not whole: this is what was there before."""
    end: int
    """Where more can be appended: behind the last seal that counts."""
    vault: Vault | None = field(default=None, repr=False)
    """What opens the parts of an encrypted one."""
    called: str = ""
    """What a person is told of it, where that is not its path."""

    def __str__(self) -> str:
        return self.called or str(self.path)

    @cached_property
    def _layers(self) -> dict[str, StoredLayer]:
        return {one.layer.id: one for one in self.manifest.layers}

    def ids(self) -> list[str]:
        """Every layer's id, those below first."""
        return list(self._layers)

    def read(self, layer: str) -> Layer:
        """Raises NotFoundError where it is not in the bundle."""
        return self._stored(layer).layer

    def _stored(self, layer: str) -> StoredLayer:
        try:
            return self._layers[layer]
        except KeyError:
            raise NotFoundError(
                f"the layer {layer} is not in {self.path}",
                hint="it was exported with --since: import it where the rest is already",
            ) from None

    def chain(self, layer: str | None) -> list[Layer]:
        """The layer and those below it, from the top to the bottom, as far as they are in it."""
        found: list[Layer] = []
        while layer is not None and layer in self._layers:
            found.append(self.read(layer))
            layer = found[-1].parent
        return found

    def file(self, layer: str, name: str) -> StoredFile:
        """Raises NotFoundError."""
        file = self._stored(layer).file(name)
        if file is None:
            raise NotFoundError(f"the layer {layer} in {self.path} has no file {name}")
        return file

    def extent(self, layer: str, name: str) -> Extent:
        """Where a file lies that is stored plain; raises InvalidError where it is not.

        What fills its last block is zero, and belongs to it.
        """
        file, path = self.file(layer, name), self.path.absolute()
        if not file.in_one_piece:
            raise InvalidError(f"{name} of the layer {layer} cannot be read where it lies")
        size = tape.padded(file.size)
        return Extent(path, file.offset, size, self.container if file.form == "luks" else None)

    @property
    def container(self) -> Container | None:
        """What an encrypted bundle's disks lie in."""
        if self.vault is None:
            return None
        return Container(seal.LUKS_AT, f"bundle-{self.manifest.id}", self.vault.disks)


Known = Callable[[str], Vault | None]
"""Gives what opens the bundle with that id, where somebody has unlocked it already."""


def open_bundle(path: Path, passphrase: str = "", known: Known | None = None) -> Bundle:
    """Raises NotFoundError, HostError, or InvalidError where it is no bundle, or a changed one.

    Of an encrypted one, raises LockedError where nobody has the key, and UsageError where the
    passphrase is another.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}", hint="check the path") from None
    except OSError as error:
        raise HostError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        return _open(path, descriptor, passphrase, known)
    except OSError as error:
        raise HostError(
            f"{path} cannot be read: {error.strerror}", hint="is the stick still plugged in?"
        ) from error
    finally:
        os.close(descriptor)


def signer_of(path: Path) -> str:
    """The fingerprint of whoever signed a bundle, without its passphrase."""
    with path.open("rb") as file:
        found = last_seal(path, file.fileno(), file.seek(0, os.SEEK_END))
        locator = found.seal.manifest
        seal.check(found.seal, os.pread(file.fileno(), locator.size, locator.offset))
    return fingerprint(found.seal.key)


def lock_of(path: Path) -> Lock | None:
    """How a bundle is encrypted; None where it is not, or is no bundle at all."""
    try:
        with path.open("rb") as file:
            return seal.lock_of(file.read(2 * BLOCK)[BLOCK:])
    except (OSError, InvalidError):
        return None


def id_of(path: Path) -> str:
    """What a bundle says that its id is, unchecked; empty where it is none. Raises OSError."""
    with path.open("rb") as file:
        return seal.id_of(file.read(2 * BLOCK)[BLOCK:])


def unlocked(path: Path, first: bytes, passphrase: str, known: Known | None = None) -> Vault | None:
    """What opens an encrypted bundle that begins with that block; None for one that is not."""
    lock = seal.lock_of(first)
    if lock is None:
        return None
    if passphrase:
        return unlock(lock, passphrase)
    if vault := known and known(seal.id_of(first)):
        return vault
    raise LockedError(
        f"{path} is encrypted, and its passphrase is needed",
        bundle=str(path),
        hint=f"workstation unlock {path}",
    )


def _check_container(path: Path, descriptor: int, vault: Vault) -> None:
    """QEMU reads that header: it is the one that follows from the key, or none at all."""
    if chunks.read(descriptor, seal.LUKS_AT, luks.HEADER) != luks.header(vault.disks):
        raise InvalidError(f"{path} was changed: its disks do not open with its key")


def _open(path: Path, descriptor: int, passphrase: str, known: Known | None) -> Bundle:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    first = os.pread(descriptor, 2 * BLOCK, 0)
    check_first_block(path, first)
    lock = seal.lock_of(first[BLOCK:])
    found = last_seal(path, descriptor, size)
    content = os.pread(descriptor, found.seal.manifest.size, found.seal.manifest.offset)
    seal.check(found.seal, content)
    vault = unlocked(path, first[BLOCK:], passphrase, known)
    manifest = parse_manifest(vault.open(content) if vault else content, path)
    if first[BLOCK:] != seal.head(manifest.id, lock):
        raise InvalidError(f"{path} was changed: its first member is not as it was written")
    if vault:
        _check_container(path, descriptor, vault)
    _check_places(manifest, found, path)
    return Bundle(
        path=path,
        manifest=manifest,
        signer=fingerprint(found.seal.key),
        cut_off=size != found.end + len(tape.END) or _added(descriptor, found, size),
        end=found.end,
        vault=vault,
    )


def parse_manifest(content: bytes, path: Path) -> Manifest:
    """Raises InvalidError where it says what a manifest cannot say."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        problems = "\n".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:20]
        )
        raise InvalidError(
            f"{path} is a bundle, and what it says of itself is not understood",
            hint="it may be of a newer version of this program: update it",
            details=problems,
        ) from error


def last_seal(path: Path, descriptor: int, size: int) -> Found:
    """The last seal that counts in that many bytes; raises InvalidError for none."""
    at = size - seal.ENDING
    if at > 0:
        blocks = os.pread(descriptor, seal.ENDING, at)
        if blocks[2 * BLOCK :] == tape.END:
            with suppress(InvalidError):  # what comes now says it
                return seal.read(blocks[: 2 * BLOCK], at)
        if seal.was_one(blocks):
            raise InvalidError(
                f"{path} was changed: its last part is not as it was written",
                hint="copy it again from where it was made, or export it again",
            )
    last = None
    for member in members(descriptor, size):
        if member.name == tape.SEAL:
            at = member.offset - BLOCK
            found = seal.read(os.pread(descriptor, 2 * BLOCK, at), at)
            ended = os.pread(descriptor, len(tape.END), found.end) == tape.END
            if ended or _added(descriptor, found, size):
                last = found
    if last is None:
        raise InvalidError(
            f"{path} is not whole: it was cut off, or changed",
            hint="copy it again from where it was made, or export it again",
        )
    return last


def _added(descriptor: int, found: Found, size: int) -> bool:
    """Whether the end of the tar that followed a seal is being overwritten by more members.

    They begin with a header, which a crash may have left unwritten, and make no file shorter.
    """
    after = size - found.end - len(tape.END)
    if after > 0:
        return True
    try:
        begun = tape.read_header(os.pread(descriptor, BLOCK, found.end), found.end)
    except InvalidError:
        return False
    return after == 0 and begun is not None


def members(descriptor: int, size: int) -> Iterator[tape.Member]:
    """The whole members from the beginning on, up to the first thing that is none."""
    at = 0
    for _ in range(tape.MOST_MEMBERS):
        try:
            member = tape.read_header(os.pread(descriptor, BLOCK, at), at)
        except InvalidError:
            return
        if member is None or member.end > size:
            return
        yield member
        at = member.end


def check_first_block(path: Path, blocks: bytes) -> None:
    """Raise InvalidError unless a bundle of a known version begins so."""
    try:
        member = tape.read_header(blocks[:BLOCK], 0)
    except InvalidError:
        member = None
    if not member or member.name != tape.HEAD:
        raise InvalidError(
            f"{path} is not a bundle", hint="bundles are made by: workstation export NAME FILE"
        )
    if not blocks[BLOCK:].startswith(b'{"format": 1,'):
        raise InvalidError(
            f"{path} is a bundle of a version that is not known here", hint="update this program"
        )


def _check_places(manifest: Manifest, found: Found, path: Path) -> None:
    """Every file lies between the first member and the manifest that names it."""
    for _, file in manifest.files():
        places = [(file.offset, file.stored)] if file.in_one_piece else []
        places += [(frame.offset, frame.size) for frame in file.frames]
        least = seal.DISKS_AT if file.form == "luks" else 2 * BLOCK
        for offset, size in places:
            if offset < least or offset + size > found.seal.manifest.offset:
                raise InvalidError(f"{path} is not whole: {file.name} lies outside of it")

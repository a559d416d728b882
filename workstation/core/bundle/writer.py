"""Writing a bundle, front to back: to a file, onto one, or into a pipe.

Nothing that is written counts before its seal is. So whoever writes onto a bundle leaves what was
there as it is, and a write that is cut off has changed nothing.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from workstation.core.bundle import chunks, seal, tape
from workstation.core.bundle.pipe import Outlet
from workstation.core.bundle.vault import Vault
from workstation.model.bundle import BLOCK, Lock, Manifest
from workstation.qemu import luks


class BundleWriter:
    """Members one after the other, from the offset `at` on."""

    def __init__(self, descriptor: int, at: int = 0, *, pipe: Outlet | None = None) -> None:
        self._descriptor = descriptor
        self.at = at
        self._pipe = pipe
        """Written in order, whatever it is: nothing is ever gone back to."""

    @classmethod
    def begin(
        cls,
        descriptor: int,
        identity: str,
        *,
        lock: Lock | None = None,
        vault: Vault | None = None,
        pipe: Outlet | None = None,
    ) -> "BundleWriter":
        """A new bundle with that id; with a lock, what it locks seals all that is in it."""
        writer = cls(descriptor, pipe=pipe)
        writer.add(tape.HEAD, seal.head(identity, lock))
        if vault:
            writer.add(tape.LUKS, luks.header(vault.disks))
        return writer

    def add(self, name: str, content: bytes) -> int:
        """A whole member; returns where its content begins."""
        with self.member(name, len(content)) as offset:
            self.write(content)
        return offset

    @contextmanager
    def member(self, name: str, size: int) -> Iterator[int]:
        """A member whose content the block writes, exactly `size` bytes; gives its place."""
        self.write(tape.header(name, size))
        offset = self.at
        yield offset
        if self.at != offset + size:
            raise ValueError(f"{name} was to have {size} bytes, and has {self.at - offset}")
        self.write(bytes(tape.padded(size) - size))

    @contextmanager
    def filled(self, name: str, size: int) -> Iterator[Callable[[bytes | memoryview, int], None]]:
        """A member whose content the block puts, each piece at its place, from any thread."""
        self.write(tape.header(name, size))
        begins = self.at
        yield lambda data, at: chunks.write(self._descriptor, data, begins + at)
        self.at += size
        self.write(bytes(tape.padded(size) - size))

    @property
    def in_order(self) -> bool:
        """Whether nothing can be written but what comes next."""
        return self._pipe is not None

    def put(self, data: bytes, at: int) -> None:
        """Bytes of a member whose size is not known yet: it begins a block from here."""
        chunks.write(self._descriptor, data, self.at + BLOCK + at)

    def close(self, name: str, size: int) -> int:
        """What was put becomes a member of that many bytes; returns where its content begins."""
        self.write(tape.header(name, size))
        offset = self.at
        self.at += size
        self.write(bytes(tape.padded(size) - size))
        return offset

    def read(self, offset: int, size: int) -> memoryview:
        """What was written; good until the calling thread reads again."""
        return chunks.read_here(self._descriptor, offset, size)

    def write(self, data: bytes | memoryview) -> None:
        """Raises OSError; what was written before then counts for nothing."""
        if self._pipe:
            view = memoryview(data)
            while view:
                view = view[self._pipe.write(view) :]
        else:
            chunks.write(self._descriptor, data, self.at)
        self.at += len(data)

    def seal(self, manifest: Manifest, key: Ed25519PrivateKey, vault: Vault | None = None) -> None:
        """From now on what was written counts, and lasts."""
        self.sync()  # first what the manifest speaks of
        content = manifest.model_dump_json().encode()
        content = vault.seal(content) if vault else content
        offset = self.add(tape.SEALED_MANIFEST if vault else tape.MANIFEST, content)
        self.add(tape.SEAL, seal.sign(content, offset, key))
        self.write(tape.END)
        if not self._pipe:
            os.ftruncate(self._descriptor, self.at)
        self.sync()

    def sync(self) -> None:
        """Make what was written last; of a pipe nobody can say."""
        if not self._pipe:
            os.fsync(self._descriptor)

    def abandon(self, end: int) -> None:
        """What was added does not count: the tar ends there again."""
        os.pwrite(self._descriptor, tape.END, end)
        os.ftruncate(self._descriptor, end + len(tape.END))
        self.sync()

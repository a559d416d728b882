"""The secrets of encrypted images, on their way to a QEMU program: never a word of its command."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from workstation.qemu import luks
from workstation.qemu.extent import Container, Extent
from workstation.qemu.options import as_json


def containers(files: Iterable[Extent]) -> dict[str, Container]:
    """What has to be opened for those files, by the names of the secrets."""
    return {file.sealed.name: file.sealed for file in files if file.sealed}


@contextmanager
def handed(files: Iterable[Extent]) -> Iterator[dict[str, int]]:
    """Descriptors that give the secrets, each once; they are for a program started in the block."""
    with ExitStack() as opened:
        found = {}
        for name, container in containers(files).items():
            reader, writer = os.pipe2(os.O_CLOEXEC)
            opened.callback(os.close, reader)
            with os.fdopen(writer, "w") as pipe:
                pipe.write(luks.secret(container.key))
            found[name] = reader
        yield found


def objects(handed_: Mapping[str, int]) -> Iterator[str]:
    """The options by which a program takes them: qemu-img knows them by two dashes only."""
    for name, descriptor in handed_.items():
        secret = {"qom-type": "secret", "id": name, "file": f"/dev/fd/{descriptor}"}
        yield from ("--object", as_json(secret))

"""Keys of encrypted bundles that a person has given the passphrase of, until they log out.

The passphrase itself is never kept. The bundle's own key stays in this process, and in a file in
the runtime directory where that is memory (tmpfs, as systemd makes it): the next command finds it
there, and it is gone with the session. Where it is not memory, each command asks again.
"""

from contextlib import suppress
from pathlib import Path

from workstation.core import atomic
from workstation.core.bundle.vault import Vault
from workstation.core.host import media
from workstation.paths import Paths

_here: dict[Path, Vault] = {}
"""By the file that each would be kept in: of this process, whoever asks."""


def forget_all() -> None:
    """What this process has in mind is gone, as after its end."""
    _here.clear()


class Keyring:
    """The keys that are at hand."""

    def __init__(self, paths: Paths) -> None:
        self._directory = paths.keys

    def vault(self, bundle: str) -> Vault | None:
        """Of the bundle with that id; None where somebody has to give the passphrase."""
        file = self._file(bundle)
        if file not in _here:
            with suppress(OSError, ValueError):
                _here[file] = Vault(bytes.fromhex(file.read_text()))
        return _here.get(file)

    def keep(self, bundle: str, vault: Vault) -> None:
        _here[self._file(bundle)] = vault
        if self.lasts:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            atomic.write(self._file(bundle), vault.key.hex(), lasting=False)

    @property
    def lasts(self) -> bool:
        """Whether the next command finds what is kept."""
        parent = self._directory.parent
        return parent.is_dir() and media.in_memory(parent)

    def forget(self, bundle: str) -> None:
        """Whoever wants to read the bundle after this has to give its passphrase."""
        _here.pop(self._file(bundle), None)
        self._file(bundle).unlink(missing_ok=True)

    def _file(self, bundle: str) -> Path:
        return self._directory / bundle

"""Publishers' signatures, checked by gpgv: of keys whose fingerprints the catalog names.

The keys themselves come from the web like the images: a fingerprint cannot be met by another key.
"""

import asyncio
import base64
import binascii
import re
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx

from workstation.core.images import download
from workstation.errors import HostError, InvalidError
from workstation.model.image import CatalogImage, Signature

MOST_BYTES = 4 * 2**20
"""Of a signature or a ring of keys; Fedora's has a dozen."""

SECONDS = 300.0
"""A signature of a large image is over all of it."""

ABSENT = "not checked: gpgv is not installed"

_ARMORED = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL
)


def said(image: CatalogImage) -> str:
    """What the manifest says where no signature is checked; empty where one has to be."""
    if image.signature is None:
        return f"none: {image.unsigned}" if image.unsigned else "none"
    return "" if shutil.which("gpgv") else ABSENT


class Proof:
    """The signature of one image, to be checked where its catalog says what it is of."""

    def __init__(self, http: httpx.AsyncClient, image: CatalogImage) -> None:
        self._http = http
        self._name = image.name
        self._wanted = None if said(image) else image.signature
        self.words = said(image)
        """What the manifest says of it."""

    async def of_list(self, text: bytes) -> bytes:
        """The list as it was signed; raises InvalidError where it was not."""
        if not self._wanted or self._wanted.of == "file":
            return text
        with tempfile.TemporaryDirectory(prefix="workstation-list-") as directory:
            file = Path(directory, "list")
            await asyncio.to_thread(file.write_bytes, text)
            return await self._of_list(self._wanted, file)

    async def _of_list(self, wanted: Signature, file: Path) -> bytes:
        if wanted.of == "list":
            await self._detached(wanted, file)
            return await asyncio.to_thread(file.read_bytes)
        plain = file.with_name("signed")
        gpgv = await self._gpgv(wanted, "--output", str(plain), str(file))
        # What stands before or after the signed part is not in what gpgv puts out.
        if gpgv.code or gpgv.status.count("PLAINTEXT ") != 1 or not self._accept(wanted, gpgv):
            raise self._refused(gpgv)
        return await asyncio.to_thread(plain.read_bytes)

    async def of_file(self, file: Path) -> None:
        """The same of the image itself."""
        if self._wanted and self._wanted.of == "file":
            await self._detached(self._wanted, file)

    async def _detached(self, wanted: Signature, file: Path) -> None:
        signature = await self._get(wanted.urls, "its signature could not be downloaded")
        with tempfile.NamedTemporaryFile(prefix="workstation-sig-") as kept:
            kept.write(signature)
            kept.flush()
            gpgv = await self._gpgv(wanted, kept.name, str(file))
        if not self._accept(wanted, gpgv):
            raise self._refused(gpgv)

    async def _gpgv(self, wanted: Signature, *arguments: str) -> "Gpgv":
        ring = binary(
            await self._get(wanted.keyring, "the publisher's key could not be downloaded")
        )
        return await run(ring, arguments)

    async def _get(self, urls: Sequence[str], otherwise: str) -> bytes:
        found, _ = await download.short(self._http, urls, MOST_BYTES, otherwise)
        return found

    def _accept(self, wanted: Signature, gpgv: "Gpgv") -> bool:
        for signer in good(gpgv.status, wanted.keys):
            self.words = f"by {signer}"
            return True
        return False

    def _refused(self, gpgv: "Gpgv") -> InvalidError:
        return InvalidError(
            f"the signature of “{self._name}” is not its publisher's: nothing of it was kept",
            hint="try again later: a list and its signature may be of two days. Where the publisher"
            " has a new key, a file of yours with that name in images/ takes the catalog's place",
            details=gpgv.said,
        )


class Gpgv(NamedTuple):
    """How it ended."""

    code: int
    status: str
    """Its lines for programs (GnuPG's doc/DETAILS)."""
    said: str
    """… and for people."""


async def run(ring: bytes, arguments: Sequence[str]) -> Gpgv:
    """With that ring alone, in a home of its own; ended after SECONDS, and when cancelled."""
    with tempfile.TemporaryDirectory(prefix="workstation-gpgv-") as home:
        keyring = Path(home, "keys.gpg")
        await asyncio.to_thread(keyring.write_bytes, ring)
        process = await asyncio.create_subprocess_exec(
            "gpgv", "--homedir", home, "--keyring", str(keyring), "--status-fd", "1", *arguments,
            stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(SECONDS):
                status, told = await process.communicate()
        except TimeoutError as error:
            what = f"gpgv has not ended after {SECONDS:.0f} s"
            raise HostError(what, hint="try again when this computer has less to do") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    texts = (text.decode(errors="replace") for text in (status, told))
    return Gpgv(process.returncode or 0, *texts)


def good(status: str, keys: Container[str]) -> Iterator[str]:
    """Fingerprints of those keys that have signed, whole and in time (GOODSIG and VALIDSIG)."""
    for one in status.split("[GNUPG:] NEWSIG")[1:]:
        valid = re.search(r"^\[GNUPG:\] VALIDSIG (?:\S+ )*([0-9A-F]{40})$", one, re.MULTILINE)
        whole = re.search(r"^\[GNUPG:\] GOODSIG ", one, re.MULTILINE)
        if valid and whole and valid[1] in keys:
            yield valid[1]


def binary(ring: bytes) -> bytes:
    """Keys as gpgv reads them: older ones take no armored file (RFC 9580, 6.2)."""
    blocks = _ARMORED.findall(ring)
    return b"".join(map(_bare, blocks)) if blocks else ring


def _bare(block: bytes) -> bytes:
    """Without the headers, which an empty line ends, and the check sum, which begins with `=`."""
    lines = block.replace(b"\r", b"").split(b"\n")
    body = lines[lines.index(b"") + 1 :] if b"" in lines else lines
    try:
        return base64.b64decode(b"".join(line for line in body if not line.startswith(b"=")))
    except binascii.Error:
        return b""

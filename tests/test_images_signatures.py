"""Publishers' signatures: an image that is not signed as its catalog says does not come in."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.openpgp import Publisher
from tests.test_images_download import CONTENT, list_it, nothing_is_left, serve_it, sums
from tests.web import Web, serving
from workstation.core.images import Images
from workstation.core.images.catalog import Catalog
from workstation.core.images.signatures import ABSENT, binary
from workstation.errors import HostError, InvalidError
from workstation.paths import Paths
from workstation.profile.problems import ProfileError

needs_gpgv = pytest.mark.skipif(not shutil.which("gpgv"), reason="gpgv is not installed")


@pytest.fixture
async def web(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with serving() as found:
        serve_it(found)
        yield found


def signed(paths: Paths, web: Web, publisher: Publisher, *, of: str = "list") -> None:
    """The catalog says that this publisher signs; the web has the key and the image."""
    web.put("/keys.asc", publisher.ring())
    signature: dict[str, object] = {"of": of, "keys": [publisher.fingerprint]}
    signature["keyring"] = [web.url("/keys.asc")]
    if of != "itself":
        signature["urls"] = [web.url("/signature")]
    list_it(paths, web, signature=signature)


@needs_gpgv
@pytest.mark.parametrize("armored", [True, False])
async def test_a_list_that_is_signed_is_taken(paths: Paths, web: Web, armored: bool) -> None:
    publisher = Publisher()
    signed(paths, web, publisher)
    web.put("/keys.asc", publisher.ring(armored=armored))
    web.put("/signature", publisher.sign(sums(CONTENT), armored=armored))
    image = await Images(paths).pull("thing")
    assert image.signature == f"by {publisher.fingerprint}"
    assert (image.path / "disk.raw").read_bytes() == CONTENT


@needs_gpgv
async def test_of_a_text_that_is_signed_itself_only_the_signed_part_counts(
    paths: Paths, web: Web
) -> None:
    publisher = Publisher()
    signed(paths, web, publisher, of="itself")
    text = publisher.signed_text("- a line of its own\n" + sums(CONTENT).decode())
    web.put("/SHA256SUMS", text)
    assert (await Images(paths).pull("thing")).signature == f"by {publisher.fingerprint}"
    # What somebody put around it is not in what is read.
    other = publisher.signed_text((sums(b"one", "one") + sums(b"two", "two")).decode())
    web.put("/SHA256SUMS", sums(CONTENT) + other)
    with pytest.raises(InvalidError, match="no checksum"):
        await Images(paths).pull("thing")
    web.put("/SHA256SUMS", text + Publisher().signed_text(sums(CONTENT).decode()))
    with pytest.raises(InvalidError, match="not its publisher's"):
        await Images(paths).pull("thing")


@needs_gpgv
async def test_a_signature_of_the_image_itself(paths: Paths, web: Web) -> None:
    publisher = Publisher()
    signed(paths, web, publisher, of="file")
    web.put("/signature", publisher.sign(CONTENT))
    assert (await Images(paths).pull("thing")).signature == f"by {publisher.fingerprint}"
    Images(paths).remove("thing")
    # Somebody has changed the image and the list that says what it is.
    changed = CONTENT[::-1]
    serve_it(web, changed)
    with pytest.raises(InvalidError, match="not its publisher's"):
        await Images(paths).pull("thing")
    assert nothing_is_left(paths)


def stranger(publisher: Publisher) -> tuple[bytes, bytes]:
    """Signed by somebody else, whose key is in the ring too."""
    other = Publisher("A Publisher")
    return publisher.ring() + other.ring(), other.sign(sums(CONTENT))


def other_list(publisher: Publisher) -> tuple[bytes, bytes]:
    return publisher.ring(), publisher.sign(sums(CONTENT[::-1]))


def old_key(publisher: Publisher) -> tuple[bytes, bytes]:
    return publisher.ring(expired=True), publisher.sign(sums(CONTENT))


def no_key(publisher: Publisher) -> tuple[bytes, bytes]:
    return Publisher().ring(), publisher.sign(sums(CONTENT))


def noise(publisher: Publisher) -> tuple[bytes, bytes]:
    return b"\xff" * 1000, b"<html>404</html>"


@needs_gpgv
@pytest.mark.parametrize("forge", [stranger, other_list, old_key, no_key, noise])
async def test_what_is_not_signed_so_leaves_nothing_behind(
    paths: Paths, web: Web, forge: object
) -> None:
    publisher = Publisher()
    signed(paths, web, publisher)
    ring, signature = forge(publisher)  # type: ignore[operator]
    web.put("/keys.asc", ring)
    web.put("/signature", signature)
    with pytest.raises(InvalidError, match="signature of “thing” is not its publisher's") as caught:
        await Images(paths).pull("thing")
    assert "try again later" in caught.value.hint
    assert nothing_is_left(paths) and Images(paths).list() == []
    assert not [path for path, _ in web.asked if path == "/file"]


@needs_gpgv
@pytest.mark.parametrize("missing", ["/signature", "/keys.asc"])
async def test_without_the_signature_or_the_key_nothing_comes(
    paths: Paths, web: Web, missing: str
) -> None:
    publisher = Publisher()
    signed(paths, web, publisher)
    web.put("/signature", publisher.sign(sums(CONTENT)))
    del web.pages[missing]
    with pytest.raises(HostError, match="could not be downloaded") as caught:
        await Images(paths).pull("thing")
    assert web.url(missing) in caught.value.details


async def test_without_gpgv_the_checksum_is_all_and_that_is_said(
    paths: Paths, web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    signed(paths, web, Publisher())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (await Images(paths).pull("thing")).signature == ABSENT


async def test_why_there_is_none_is_said(paths: Paths, web: Web) -> None:
    list_it(paths, web, unsigned="nobody signs it")
    assert (await Images(paths).pull("thing")).signature == "none: nobody signs it"


def test_every_shipped_image_is_signed_or_says_why_not(paths: Paths) -> None:
    for entry in Catalog(paths).entries():
        assert entry.image, entry.problem
        if entry.image.urls:
            assert bool(entry.image.signature) is not bool(entry.image.unsigned), entry.name
        if entry.image.signature:
            places = (*entry.image.signature.urls, *entry.image.signature.keyring)
            assert all(url.startswith("https://") for url in places), entry.name


def test_an_entry_that_contradicts_itself_is_refused(paths: Paths, web: Web) -> None:
    def problems(**changes: object) -> str:
        list_it(paths, web, "thing", **changes)
        with pytest.raises(ProfileError) as caught:
            Catalog(paths).find("thing")
        return "\n".join(map(str, caught.value.problems))

    key = {"keys": ["A" * 40], "keyring": [web.url("/keys")]}
    assert "signature.urls" in problems(signature=key)
    assert "signature.urls" in problems(signature={**key, "of": "itself", "urls": [web.url("/s")]})
    whole = {**key, "urls": [web.url("/s")]}
    assert "unsigned" in problems(signature=whole, unsigned="why not")
    assert "no list" in problems(signature=whole, checksums=None, hash="a" * 64)
    assert "fingerprint" in problems(signature={**whole, "keys": ["1234"]})


@needs_gpgv
def test_keys_in_text_are_what_the_same_keys_are_in_bytes() -> None:
    publisher, other = Publisher(), Publisher()
    plain = publisher.ring(armored=False) + other.ring(armored=False)
    assert binary(publisher.ring() + b"some words\n" + other.ring()) == plain
    windows = (
        publisher.ring()
        .replace(b"\n", b"\r\n")
        .replace(b"-----\r\n\r\n", b"-----\r\nVersion: 1\r\n\r\n")
    )
    assert binary(windows) == publisher.ring(armored=False)
    assert binary(plain) == plain


@pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not installed")
def test_the_tests_own_keys_are_what_gnupg_takes_for_keys(tmp_path: Path) -> None:
    publisher = Publisher("Maria Muster")
    shown = subprocess.run(
        ["gpg", "--homedir", str(tmp_path), "--show-keys", "--with-colons"],
        input=publisher.ring(), capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    assert publisher.fingerprint in shown and "Maria Muster" in shown

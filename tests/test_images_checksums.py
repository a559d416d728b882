"""Lists of checksums, in every form that publishers use."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.core.images.checksums import Checksum, find, of_text, parse
from workstation.errors import InvalidError

ONE, TWO = (hashlib.sha256(text).hexdigest() for text in (b"1", b"2"))
LONG = hashlib.sha512(b"1").hexdigest()

GNU = f"{ONE}  disk.qcow2\n{TWO} *disc.iso\n"
BSD = f"# disk.qcow2: 5 bytes\nSHA256 (disk.qcow2) = {ONE}\nSHA256 (disc.iso) = {TWO}\n"
SIGNED = f"""-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

{BSD}-----BEGIN PGP SIGNATURE-----

iQIzBAEBCAAdFiEEsPRTz1ekBRXRwOgsDJmJAExi
-----END PGP SIGNATURE-----
"""


@pytest.mark.parametrize("text", [GNU, BSD, SIGNED, GNU.replace("\n", "\r\n"), GNU.upper()])
def test_every_form_is_read(text: str) -> None:
    name = "DISK.QCOW2" if text == GNU.upper() else "disk.qcow2"
    assert find(text, name, "list") == Checksum("sha256", ONE)


def test_a_name_may_have_a_directory_before_it() -> None:
    assert find(f"{ONE}  ./amd64/disk.qcow2\n{TWO}  other", "disk.qcow2", "list").value == ONE


def test_a_checksum_alone_is_of_the_one_file() -> None:
    assert find(f"{LONG}\n", "whatever", "list") == Checksum("sha512", LONG)
    # openSUSE's names the build, not the address.
    assert find(f"{ONE}  Leap-16.0-Build3.qcow2", "Leap-16.0.qcow2", "list").value == ONE


def test_the_strongest_counts() -> None:
    assert find(f"{ONE}  a\n{LONG}  a\n{TWO}  b", "a", "list").value == LONG


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no checksum of a"),
        (f"{ONE}  b\n{TWO}  c", "no checksum of a"),
        (f"{ONE}  a\n{TWO}  a", "two different checksums of a"),
        ("d41d8cd98f00b204e9800998ecf8427e  a", "no checksum of a"),
        ("<html>404</html>", "no checksum of a"),
    ],
)
def test_what_is_not_there_is_said(text: str, what: str) -> None:
    with pytest.raises(InvalidError, match=what):
        find(text, "a", "the list")


HEX = st.sampled_from((64, 96, 128)).flatmap(
    lambda length: st.text("0123456789abcdef", min_size=length, max_size=length)
)
NAMES = st.text("abcXYZ019._+-", min_size=1, max_size=30)


@given(st.dictionaries(NAMES, HEX, min_size=2, max_size=6), st.sampled_from(("gnu", "bin", "bsd")))
def test_what_is_written_is_read(files: dict[str, str], form: str) -> None:
    words = {64: "SHA256", 96: "SHA384", 128: "SHA512"}
    forms = {
        "gnu": lambda name, value: f"{value}  {name}",
        "bin": lambda name, value: f"{value} *{name}",
        "bsd": lambda name, value: f"{words[len(value)]} ({name}) = {value}",
    }
    text = "\n".join(forms[form](name, value) for name, value in files.items())
    assert parse(text) == [(name, of_text(value)) for name, value in files.items()]
    for name, value in files.items():
        assert find(text, name, "list").value == value


@given(st.text(max_size=2000))
def test_any_text_is_read_without_harm(text: str) -> None:
    for name, checksum in parse(text):
        assert of_text(checksum.value) == checksum
        assert "\n" not in name

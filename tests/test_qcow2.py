"""What a qcow2 header says, against images that qemu-img makes and ones made up."""

import asyncio
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import eventually
from workstation.errors import InvalidError, WorkstationError
from workstation.qemu import image, qcow2


def qemu_img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def patched(path: Path, offset: int, form: str, value: int) -> Path:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(struct.pack(form, value))
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.qcow2"
    qemu_img("create", "-f", "qcow2", path, "7M")
    return path


@pytest.mark.parametrize(
    "options",
    ["compat=0.10", "compat=1.1", "compression_type=zstd", "extended_l2=on", "lazy_refcounts=on",
     "cluster_size=2M", "preallocation=metadata"],
)  # fmt: skip
def test_an_image_of_its_own_is_taken(tmp_path: Path, options: str) -> None:
    path = tmp_path / "disk.qcow2"
    qemu_img("create", "-f", "qcow2", "-o", options, path, "7M")
    assert qcow2.check_self_contained(path).size == 7 * 2**20


def test_one_with_internal_snapshots_is_taken(plain: Path) -> None:
    qemu_img("snapshot", "-c", "one", plain)
    assert qcow2.check_self_contained(plain).size == 7 * 2**20


@pytest.mark.parametrize("compat", ["0.10", "1.1"])
def test_one_with_a_backing_file_is_refused(plain: Path, compat: str) -> None:
    top = plain.with_name("top.qcow2")
    qemu_img("create", "-f", "qcow2", "-o", f"compat={compat}", "-b", plain, "-F", "qcow2", top)
    assert qcow2.read_header(top).backing
    with pytest.raises(InvalidError, match="in another file") as caught:
        qcow2.check_self_contained(top)
    assert "qemu-img convert" in caught.value.hint


@pytest.mark.parametrize("raw", ["on", "off"])
def test_one_with_an_external_data_file_is_refused(tmp_path: Path, raw: str) -> None:
    path, data = tmp_path / "disk.qcow2", tmp_path / "data.raw"
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={data},data_file_raw={raw}", path, "1M")
    assert qcow2.read_header(path).external_data
    with pytest.raises(InvalidError, match="in another file"):
        qcow2.check_self_contained(path)


@pytest.mark.parametrize(
    ("offset", "form", "value", "what"),
    [
        (0, ">I", 0x7F454C46, "not a qcow2 image"),
        (4, ">I", 1, "version 1"),
        (4, ">I", 4, "version 4"),
        (24, ">Q", 0, "claims a size of 0 bytes"),
        (24, ">Q", 2**46 + 1, "claims a size"),
        (24, ">Q", 2**63, "claims a size"),
        (32, ">I", 2, "encrypted"),
        (72, ">Q", 1 << 5, "not known here"),
        (72, ">Q", 1 << 63, "not known here"),
    ],
)
def test_a_header_that_is_off_is_refused(
    plain: Path, offset: int, form: str, value: int, what: str
) -> None:
    with pytest.raises(InvalidError, match=what):
        qcow2.check_self_contained(patched(plain, offset, form, value))


@pytest.mark.parametrize("content", [b"", b"QFI\xfb", b"QFI\xfb" + bytes(60)])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(content)
    with pytest.raises(InvalidError, match="not a qcow2 image"):
        qcow2.check_self_contained(path)


@given(st.binary(max_size=120).map(lambda tail: b"QFI\xfb" + tail) | st.binary(max_size=120))
def test_any_bytes_are_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.qcow2"
    path.write_bytes(content)
    try:
        header = qcow2.check_self_contained(path)
    except InvalidError:
        return
    assert 0 < header.size <= qcow2.LARGEST


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.qcow2", "qcow2"), ("a.QCOW2", "qcow2"), ("a.raw", "raw"), ("a.img", "raw")],
)
def test_the_name_says_the_format(name: str, expected: str) -> None:
    assert qcow2.format_of(Path(name)) == expected


def test_a_name_that_says_no_format_is_refused() -> None:
    with pytest.raises(InvalidError, match="cannot be told from its name") as caught:
        qcow2.format_of(Path("/srv/debian-12"))
    assert ".qcow2, .raw" in caught.value.hint


def test_a_raw_image_is_as_large_as_its_file(tmp_path: Path) -> None:
    path = tmp_path / "disk.raw"
    path.write_bytes(b"QFI\xfb" + bytes(1020))
    assert qcow2.virtual_size(path, "raw") == 1024


@pytest.mark.parametrize("size", [1, 512, 5 * 2**20, 100 * 2**30, 5 * 2**40, qcow2.LARGEST])
def test_a_blank_image_is_what_qemu_img_takes_for_one(tmp_path: Path, size: int) -> None:
    target = tmp_path / "head, \"new\" 'one'.qcow2"
    qcow2.create_blank(target, size)
    qemu_img("check", "-f", "qcow2", target)
    header = qcow2.check_self_contained(target)
    assert header.size == -(-size // 512) * 512
    assert qcow2.is_blank(target)
    assert target.stat().st_mode & 0o077 == 0
    assert target.stat().st_blocks * 512 <= 256 * 2**10


def test_what_is_written_to_a_blank_image_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "disk.qcow2"
    qcow2.create_blank(target, 3 * 2**40)
    write = ["-c", "write -P 7 0 64k", "-c", f"write -P 9 {2**41} 1M"]
    read = ["-c", "read -P 7 0 64k", "-c", f"read -P 9 {2**41} 1M", "-c", "read -P 0 1G 1M"]
    for commands in (write, read):
        subprocess.run(["qemu-io", "-f", "qcow2", *commands, target], check=True)
    qemu_img("check", "-f", "qcow2", target)
    assert not qcow2.is_blank(target)


@pytest.mark.parametrize("size", [0, -1, qcow2.LARGEST + 1])
def test_a_blank_image_of_no_size_or_too_much_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(InvalidError, match="cannot have"):
        qcow2.create_blank(tmp_path / "disk.qcow2", size)
    assert not list(tmp_path.iterdir())


async def test_qemu_img_is_ended_when_its_caller_is_cancelled(tmp_path: Path) -> None:
    fake = tmp_path / "qemu-img"
    fake.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec cat /dev/zero >/dev/null\n")
    fake.chmod(0o700)
    task = asyncio.create_task(image.convert(str(fake), tmp_path / "x", "raw", tmp_path / "y"))
    pid = tmp_path / "pid"
    await eventually(lambda: pid.exists() and pid.read_text().endswith("\n"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


async def test_its_own_words_are_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(WorkstationError, match=r"qemu-img convert failed.*No such file"):
        await image.convert("qemu-img", tmp_path / "none", "raw", tmp_path / "out")

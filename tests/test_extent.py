"""A file inside a file: read as if it were one of its own, by us and by QEMU."""

import hashlib
from pathlib import Path

import pytest

from workstation.core.workstation import Workstation
from workstation.model.host import HostFacts
from workstation.model.profile import Cache
from workstation.qemu import graph, image, qcow2
from workstation.qemu.blockdev import DiskFile, bytes_node, nodes
from workstation.qemu.extent import Extent
from workstation.qemu.workbench import workbench

BEFORE = 4096


def inside(file: Path, holder: Path) -> DiskFile:
    """That file, appended to a larger one."""
    padding = bytes(-file.stat().st_size % 512)
    offset = holder.stat().st_size if holder.exists() else 0
    with holder.open("ab") as target:
        target.write(file.read_bytes() + padding)
    return DiskFile(holder, offset, holder.stat().st_size - offset)


@pytest.fixture
def holder(tmp_path: Path) -> Path:
    path = tmp_path / "holder"
    path.write_bytes(b"x" * BEFORE)
    return path


def test_a_part_reads_as_a_file(tmp_path: Path, holder: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "one").write_bytes(content)
    part = inside(tmp_path / "one", holder)
    with part.open() as file:
        assert file.read(10) == content[:10]
        assert file.seek(-5, 2) == len(content) - 5
        assert file.read() == content[-5:]
        file.seek(0)
        assert hashlib.file_digest(file, "sha256").digest() == hashlib.sha256(content).digest()
    part.put(tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == content


def test_a_whole_file_is_put_by_a_second_name(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    Extent(tmp_path / "one").put(tmp_path / "two")
    assert (tmp_path / "two").samefile(tmp_path / "one")
    Extent(tmp_path / "one").copy(tmp_path / "three")
    assert not (tmp_path / "three").samefile(tmp_path / "one")


def test_a_part_that_was_cut_off_is_not_there(tmp_path: Path, holder: Path) -> None:
    (tmp_path / "one").write_bytes(b"y" * 1024)
    part = inside(tmp_path / "one", holder)
    assert part.there()
    with holder.open("r+b") as file:
        file.truncate(BEFORE + 512)
    assert not part.there()
    holder.unlink()
    assert not part.there()


def test_a_chain_names_the_file_and_what_it_is_a_part_of(holder: Path) -> None:
    part = DiskFile(holder, 512, 1024)
    found = list(nodes("d", (DiskFile(holder), part), cache=Cache.WRITEBACK, discard=True))
    host = {"driver": "file", "node-name": "d-1.host", "filename": str(holder)}
    assert found[0]["file"] == {
        "driver": "raw", "node-name": "d-1.file", "offset": 512, "size": 1024, "file": host,
    }  # fmt: skip
    assert found[1]["file"] == {
        "driver": "file", "node-name": "d.file", "filename": str(holder),
    }  # fmt: skip
    assert "node-name" not in bytes_node(part)


@pytest.mark.qemu
async def test_qemu_merges_and_checks_inside_a_file(station: Workstation, tmp_path: Path) -> None:
    facts = await station.host_facts()
    chain = []
    for number in range(3):
        file = tmp_path / f"{number}.qcow2"
        qcow2.create_blank(file, 2**20)
        chain.append(DiskFile(file))
    await _fill(facts, chain[1:], b"one")
    holder = tmp_path / "holder"
    holder.write_bytes(b"x" * BEFORE)
    parts = [inside(file.path, holder) for file in chain[1:]]
    assert [await image.check(facts.qemu_img, part) for part in parts] == ["", ""]
    assert qcow2.read_header(parts[0]).size == 2**20
    async with workbench(facts) as session:
        await graph.open_chain(session, "d", (chain[0], *parts))
        # Two parts of one file are two places.
        assert await graph.same_file(session, parts[0]) == "d-1"
        assert await graph.same_file(session, parts[1]) == "d-2"
        assert await graph.same_file(session, Extent(holder)) == ""
        await graph.stream(session, "d", "d-2", lambda done, total: None)
        await graph.close_chain(session, "d", 3)
    await image.rewrite(facts.qemu_img, (chain[0], parts[1]), tmp_path / "compact.qcow2")
    assert not qcow2.read_header(tmp_path / "compact.qcow2").backing
    raw = tmp_path / "raw"
    await image._run(
        facts.qemu_img, "convert", "-q", "-f", "qcow2", "-O", "raw",
        str(tmp_path / "compact.qcow2"), str(raw),
    )  # fmt: skip
    assert raw.read_bytes()[:3] == b"one"


async def _fill(facts: HostFacts, chain: list[DiskFile], word: bytes) -> None:
    """Write a word to the beginning of the chain's top, by a machine-less QEMU."""
    source = chain[0].path.with_suffix(".raw")
    source.write_bytes(word.ljust(2**20, b"\0"))
    chain[0].path.unlink()
    await image.convert(facts.qemu_img, source, "raw", chain[0].path)

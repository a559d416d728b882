"""Images from the web: whole and proven, or not at all; gone on with after every cut."""

import asyncio
import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
import subprocess
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import yaml
import zstandard

from tests.web import Web, serving
from workstation.core import room
from workstation.core.images import Images
from workstation.core.workstation import Workstation
from workstation.errors import BusyError, HostError, InvalidError, UsageError
from workstation.model.events import Activity, Event
from workstation.paths import Paths

CONTENT = random.Random(1).randbytes(700_000) + bytes(300_000)


@pytest.fixture
async def web(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with serving() as found:
        yield found


def list_it(paths: Paths, web: Web, name: str = "thing", **changes: object) -> None:
    """Write a catalog of the person's own that has one image at /file."""
    entry: dict[str, object] = {
        "name": name,
        "description": "a thing",
        "urls": [web.url("/file")],
        "checksums": {"urls": [web.url("/SHA256SUMS")]},
        "format": "raw",
        "download": "1 MiB",
    }
    entry |= changes
    directory = paths.config / "images"
    directory.mkdir(parents=True, exist_ok=True)
    kept = {key: value for key, value in entry.items() if value is not None}
    (directory / f"{name}.yaml").write_text(yaml.safe_dump(kept))


def sums(content: bytes, name: str = "file") -> bytes:
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()


def serve_it(web: Web, content: bytes = CONTENT) -> None:
    web.put("/file", content)
    web.put("/SHA256SUMS", sums(content))


def nothing_is_left(paths: Paths) -> bool:
    return not [path for path in paths.images.rglob("*") if path.is_file() and path.name != ".lock"]


async def test_an_image_is_pulled_proven_and_listed(paths: Paths, web: Web) -> None:
    serve_it(web)
    list_it(paths, web)
    image = await Images(paths).pull("thing")
    assert (image.path / "disk.raw").read_bytes() == CONTENT
    assert image.files == {"disk.raw": hashlib.sha256(CONTENT).hexdigest()}
    assert image.origin == web.url("/file")
    assert Images(paths).resolve("thing") == image.path / "disk.raw"
    assert Images(paths).verify("thing") == []
    # Nobody writes to it by mistake, and nothing else stays.
    assert (image.path / "disk.raw").stat().st_mode & 0o777 == 0o400
    assert not list(paths.images.glob(".part-*/*"))


async def test_after_cuts_it_goes_on_where_it_was(paths: Paths, web: Web) -> None:
    serve_it(web)
    web.pages["/file"].cuts = [300_000, 100_000, 1]
    list_it(paths, web)
    await Images(paths).pull("thing")
    assert web.ranges("/file") == ["", "bytes=300000-", "bytes=400000-", "bytes=400001-"]
    assert web.asked[-1][1]["if-range"] == '"one"'


async def test_a_file_that_changed_meanwhile_is_begun_anew(paths: Paths, web: Web) -> None:
    serve_it(web)
    page = web.pages["/file"]
    page.length, page.cuts = None, [300_000]
    old, page.content = page.content, bytes(reversed(CONTENT))
    list_it(paths, web, urls=[web.url("/file")])
    page.cuts, page.version = [200_000, 10**9], '"old"'
    page.wait_at = 200_000
    web.put("/SHA256SUMS", sums(old))
    task = asyncio.create_task(Images(paths).pull("thing"))
    await page.waiting.wait()
    # While the connection hangs, the publisher puts another file there, and cuts it.
    page.content, page.version, page.wait_at = old, '"new"', None
    page.cuts = [0]
    page.go.set()
    await task
    assert Images(paths).verify("thing") == []


async def test_without_ranges_it_begins_anew(paths: Paths, web: Web) -> None:
    serve_it(web)
    page = web.pages["/file"]
    page.ranges, page.cuts = False, [500_000]
    list_it(paths, web)
    await Images(paths).pull("thing")
    assert Images(paths).verify("thing") == []


async def test_one_that_never_goes_on_is_given_up_and_kept_for_the_next_time(
    paths: Paths, web: Web
) -> None:
    serve_it(web)
    web.pages["/file"].cuts = [300_000] + [0] * 10
    list_it(paths, web)
    with pytest.raises(HostError, match="could not be downloaded") as caught:
        await Images(paths).pull("thing")
    assert web.url("/file") in caught.value.details
    assert "goes on where it was cut off" in caught.value.hint
    assert Images(paths).list() == []
    web.pages["/file"].cuts = []
    web.asked.clear()
    await Images(paths).pull("thing")
    assert web.ranges("/file") == ["bytes=300000-"]


async def test_a_wrong_checksum_leaves_nothing_behind(paths: Paths, web: Web) -> None:
    serve_it(web)
    web.put("/SHA256SUMS", sums(b"something else"))
    list_it(paths, web)
    with pytest.raises(InvalidError, match="not what its publisher lists") as caught:
        await Images(paths).pull("thing")
    assert web.url("/file") in caught.value.details
    assert nothing_is_left(paths)


async def test_mirrors_have_their_turn_in_order(paths: Paths, web: Web) -> None:
    serve_it(web)
    web.put("/broken", CONTENT, status="503 Service Unavailable")
    web.put("/wrong", bytes(1_000_000), version='"x"')
    list_it(
        paths,
        web,
        urls=[web.url(path) for path in ("/gone", "/broken", "/wrong", "/file")],
        file="file",
    )
    image = await Images(paths).pull("thing")
    assert image.origin == web.url("/file")
    assert [path for path, _ in web.asked] == ["/SHA256SUMS", "/gone", "/broken", "/wrong", "/file"]


async def test_a_download_is_ended_at_another_mirror(paths: Paths, web: Web) -> None:
    serve_it(web)
    web.put("/first", CONTENT, cuts=[400_000, 0, 0, 0, 0])
    list_it(paths, web, urls=[web.url("/first"), web.url("/file")], file="file")
    await Images(paths).pull("thing")
    assert web.ranges("/file") == ["bytes=400000-"]
    # Another server's version says nothing here.
    assert "if-range" not in web.asked[-1][1]


async def test_an_old_beginning_does_not_spoil_a_new_file(paths: Paths, web: Web) -> None:
    serve_it(web)
    web.pages["/file"].version = ""
    part = paths.images / ".part-thing"
    part.mkdir(parents=True)
    (part / "file").write_bytes(b"of last month" * 100)
    list_it(paths, web)
    await Images(paths).pull("thing")
    assert web.ranges("/file") == ["bytes=1300-", ""]
    # More than all of it, too.
    part.mkdir()
    (part / "file").write_bytes(bytes(2_000_000))
    await Images(paths).pull("thing")
    assert Images(paths).verify("thing") == []


async def test_all_of_it_is_not_downloaded_twice(paths: Paths, web: Web) -> None:
    serve_it(web)
    part = paths.images / ".part-thing"
    part.mkdir(parents=True)
    (part / "file").write_bytes(CONTENT)
    list_it(paths, web)
    await Images(paths).pull("thing")
    assert web.ranges("/file") == ["bytes=1000000-"]


@pytest.mark.parametrize("length", [10, 2_000_000])
async def test_a_lie_about_the_length_does_no_harm(paths: Paths, web: Web, length: int) -> None:
    serve_it(web)
    web.pages["/file"].length = length
    web.pages["/file"].ranges = False
    list_it(paths, web)
    with pytest.raises((HostError, InvalidError)):
        await Images(paths).pull("thing")
    assert Images(paths).list() == []


async def test_more_than_the_catalog_says_is_refused(paths: Paths, web: Web) -> None:
    serve_it(web)
    list_it(paths, web, download="100 KiB")
    with pytest.raises(HostError) as caught:
        await Images(paths).pull("thing")
    assert "1000000 bytes, and at most 409600" in caught.value.details
    web.pages["/SHA256SUMS"].content = bytes(5_000_000)
    with pytest.raises(HostError, match="list of checksums"):
        await Images(paths).pull("thing")


async def test_redirects_lead_to_the_web_only(paths: Paths, web: Web, tmp_path: Path) -> None:
    serve_it(web)
    web.put("/there", location="/file")
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    web.put("/aside", location=secret.as_uri())
    web.put("/round", location="/round")
    list_it(paths, web, urls=[web.url("/aside"), web.url("/round")], file="file")
    with pytest.raises(HostError) as caught:
        await Images(paths).pull("thing")
    assert "not of the web: file:" in caught.value.details
    assert "on and on" in caught.value.details
    list_it(paths, web, urls=[web.url("/there")], file="file")
    assert (await Images(paths).pull("thing")).origin == web.url("/there")


async def test_room_is_asked_for_before_anything_comes(
    paths: Paths, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_it(web)
    list_it(paths, web)
    monkeypatch.setattr(room, "CACHE_SPARE", 2**60)
    with pytest.raises(HostError, match="free") as caught:
        await Images(paths).pull("thing")
    assert "XDG_CACHE_HOME" in caught.value.hint
    assert nothing_is_left(paths) or not (paths.images / ".part-thing/file").exists()


def packed(packing: str, content: bytes) -> bytes:
    if packing == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("readme.txt", "hello")
            archive.writestr("big/DISK.IMG", content)
        return buffer.getvalue()
    ways: dict[str, Callable[[bytes], bytes]] = {
        "gz": gzip.compress,
        "xz": lzma.compress,
        "bz2": bz2.compress,
        "zst": zstandard.compress,
    }
    return ways[packing](content)


@pytest.mark.parametrize("packing", ["gz", "xz", "bz2", "zst", "zip"])
async def test_what_is_packed_is_unpacked(paths: Paths, web: Web, packing: str) -> None:
    content = CONTENT + bytes(4 * 2**20) + b"end" + bytes(2**20)
    serve_it(web, packed(packing, content))
    list_it(paths, web, packing=packing, disk="8 MiB")
    image = await Images(paths).pull("thing")
    disk = image.path / "disk.raw"
    assert disk.read_bytes() == content
    assert disk.stat().st_blocks * 512 < len(content) - 3 * 2**20


async def test_what_unpacks_to_too_much_or_is_cut_is_refused(paths: Paths, web: Web) -> None:
    serve_it(web, lzma.compress(bytes(50 * 2**20)))
    list_it(paths, web, packing="xz", disk="4 MiB")
    with pytest.raises(InvalidError, match="unpacks to more than"):
        await Images(paths).pull("thing")
    assert nothing_is_left(paths)
    serve_it(web, lzma.compress(CONTENT)[:-100])
    with pytest.raises(InvalidError, match="damaged"):
        await Images(paths).pull("thing")
    assert nothing_is_left(paths)


async def test_an_image_that_would_open_another_file_is_refused(
    paths: Paths, web: Web, tmp_path: Path
) -> None:
    disk = tmp_path / "d.qcow2"
    words = ("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", str(disk))
    subprocess.run(words, check=True)
    serve_it(web, disk.read_bytes())
    list_it(paths, web, format="qcow2")
    with pytest.raises(InvalidError, match="another file"):
        await Images(paths).pull("thing")
    assert nothing_is_left(paths)
    serve_it(web, b"<html>" * 10_000)
    list_it(paths, web, kind="disc", format="iso")
    with pytest.raises(InvalidError, match="not a disc"):
        await Images(paths).pull("thing")


async def test_cancelled_it_keeps_what_came_and_goes_on_the_next_time(
    station: Workstation, paths: Paths, web: Web
) -> None:
    serve_it(web)
    page = web.pages["/file"]
    page.wait_at = 400_000
    list_it(paths, web)
    seen: list[Activity] = []

    def watch(event: Event) -> None:
        if isinstance(event, Activity):
            seen.append(event)

    station.subscribe(watch)
    task = asyncio.create_task(station.making.pull("thing"))
    await page.waiting.wait()
    part = paths.images / ".part-thing/file"
    async with asyncio.timeout(10):
        while not (part.exists() and seen and seen[-1].done == 400_000):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (seen[-1].unit, seen[-1].total) == ("B", 1_000_000)
    # A second program is told, and waits for nothing.
    with pytest.raises(BusyError, match="just being downloaded"):
        await Images(paths).pull("thing")
    station.cancel(seen[-1].id)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert Images(paths).list() == []
    assert part.stat().st_size == 400_000
    page.wait_at = None
    page.go.set()
    await station.making.pull("thing")
    assert web.ranges("/file") == ["", "bytes=400000-"]


async def test_several_come_at_once(station: Workstation, paths: Paths, web: Web) -> None:
    serve_it(web)
    pages = [web.put(f"/{name}", CONTENT, wait_at=1000) for name in "abc"]
    for name in "abc":
        list_it(paths, web, f"thing-{name}", urls=[web.url(f"/{name}")], file="file")
    task = asyncio.create_task(station.making.pull("thing-a", "thing-b", "thing-c"))
    # None is finished before all have begun.
    await asyncio.gather(*(page.waiting.wait() for page in pages))
    for page in pages:
        page.go.set()
    assert [image.name for image in await task] == ["thing-a", "thing-b", "thing-c"]


async def test_one_that_fails_ends_the_others(station: Workstation, paths: Paths, web: Web) -> None:
    serve_it(web)
    web.put("/slow", CONTENT, wait_at=1000)
    list_it(paths, web, "slow", urls=[web.url("/slow")], file="file")
    list_it(paths, web, "gone", urls=[web.url("/gone")], file="file")
    with pytest.raises(HostError, match="could not be downloaded"):
        await station.making.pull("slow", "gone")
    assert Images(paths).list() == []


async def test_the_image_that_is_here_stays_until_the_new_one_is_whole(
    paths: Paths, web: Web
) -> None:
    serve_it(web)
    list_it(paths, web)
    before = await Images(paths).pull("thing")
    web.put("/SHA256SUMS", sums(b"other"))
    with pytest.raises(InvalidError):
        await Images(paths).pull("thing")
    assert Images(paths).get("thing") == before
    assert Images(paths).verify("thing") == []


async def test_what_a_person_has_to_bring_is_said(paths: Paths) -> None:
    with pytest.raises(UsageError, match="Microsoft") as caught:
        await Images(paths).pull("windows-11")
    assert caught.value.hint == "then: workstation images add FILE --name windows-11"


async def test_a_machine_is_made_of_what_had_to_come_first(
    station: Workstation, paths: Paths, web: Web
) -> None:
    serve_it(web, bytes(2**20))
    list_it(paths, web)
    profile = await station.making.from_image("thing")
    assert [remark.text for remark in await station.making.remarks("t", profile)] == [
        "“thing” is not here: it is downloaded first, 1 MiB"
    ]
    await station.making.create("t", profile)
    assert station.view("t").name == "t"
    assert os.path.samefile(
        next(paths.layers.glob("*/drive0.raw")), paths.images / "thing/disk.raw"
    )

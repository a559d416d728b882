"""A web server on loopback that does what a test says: cuts, lies, waits, redirects."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Page:
    """What is under one path, and how it is served."""

    content: bytes = b""
    status: str = "200 OK"
    version: str = '"one"'
    """Its ETag; empty for none."""
    ranges: bool = True
    location: str = ""
    """Where a redirect leads."""
    cuts: list[int] = field(default_factory=list)
    """One a request: the connection ends after so many bytes of the answer's body."""
    length: int | None = None
    """A lie about how long the body is."""
    wait_at: int | None = None
    """After so many bytes of the body it says `waiting`, and goes on when `go` is set."""
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Web:
    """The pages by path; and what was asked for."""

    address: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def put(self, path: str, content: bytes = b"", **how: object) -> Page:
        self.pages[path] = Page(content, **how)  # type: ignore[arg-type]
        return self.pages[path]

    def url(self, path: str) -> str:
        return f"{self.address}{path}"

    def ranges(self, path: str) -> list[str]:
        """The ranges that were asked for under a path; empty for the whole."""
        return [headers.get("range", "") for asked, headers in self.asked if asked == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        path = head[0].split()[1]
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        self.asked.append((path, headers))
        page = self.pages.get(path, Page(status="404 Not Found"))
        status, body, more = _answer(page, headers)
        length = len(body) if page.length is None else page.length
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {length}", "Connection: close", *more]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await self._send(page, body, writer)

    async def _send(self, page: Page, body: bytes, writer: asyncio.StreamWriter) -> None:
        if page.wait_at is not None:
            writer.write(body[: page.wait_at])
            await writer.drain()
            page.waiting.set()
            await page.go.wait()
            body = body[page.wait_at :]
        writer.write(body[: page.cuts.pop(0)] if page.cuts else body)
        await writer.drain()


def _answer(page: Page, headers: dict[str, str]) -> tuple[str, bytes, list[str]]:
    more = [f"ETag: {page.version}"] if page.version else []
    if page.location:
        return "302 Found", b"", [f"Location: {page.location}"]
    wanted = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
    same = headers.get("if-range", page.version) == page.version
    if not (wanted and page.ranges and same and page.status.startswith("200")):
        return page.status, page.content, more
    start, size = int(wanted[1]), len(page.content)
    if start >= size:
        return "416 Range Not Satisfiable", b"", [*more, f"Content-Range: bytes */{size}"]
    span = f"Content-Range: bytes {start}-{size - 1}/{size}"
    return "206 Partial Content", page.content[start:], [*more, span]


@asynccontextmanager
async def serving() -> AsyncIterator[Web]:
    web = Web("")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await web.serve(reader, writer)
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    web.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield web
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)

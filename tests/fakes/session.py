"""A serial line without a machine: a test is the guest."""

import asyncio

from workstation.core.serial.session import Display, Link, Session


class FakeSession(Session):
    """Shows what was printed before, then what a test prints; keeps what is typed."""

    def __init__(self, before: bytes = b"", link: Link = Link.OPEN) -> None:
        self.link = Link.CONNECTING
        self.sent = b""
        self._before, self._opens = before, link
        self._display: Display | None = None
        self.has_agent = False
        self.sizes: list[tuple[int, int]] = []
        self.begun = asyncio.Event()

    def send(self, data: bytes) -> bool:
        self.sent += data
        return True

    async def tell_size(self, columns: int, rows: int) -> bool:
        self.sizes += [(columns, rows)] if self.has_agent else []
        return self.has_agent

    async def run(self, display: Display) -> None:
        self._display = display
        await display.show(self._before, before=True)
        self.turn(self._opens)
        self.begun.set()
        await asyncio.Event().wait()

    async def print(self, data: bytes) -> None:
        """As the guest does."""
        await self.begun.wait()
        assert self._display
        await self._display.show(data, before=False)

    def turn(self, link: Link, *, anew: bool | None = None) -> None:
        """The line is in another state; `anew` says whether another run has resumed."""
        assert self._display
        self.link = link
        if anew is not None:
            self._display.begun_anew(resumed=anew)
        self._display.changed()

"""QMP by plain socket code: what our monitors are held against."""

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Plain:
    """A blocking session, past its greeting."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")
        assert "QMP" in self.receive()
        self.execute("qmp_capabilities")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._lines.close()
        self._socket.close()

    def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._lines.readline())
        return message

    def send(self, command: str) -> None:
        self._socket.sendall(json.dumps({"execute": command}).encode() + b"\n")

    def execute(self, command: str) -> Any:
        """Events that come before the answer are dropped."""
        self.send(command)
        while True:
            message = self.receive()
            if "event" not in message:
                return message["return"]

    def event(self, kind: str) -> None:
        """Wait for an event of that kind."""
        while self.receive().get("event") != kind:
            pass

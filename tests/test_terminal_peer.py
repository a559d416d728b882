"""Our terminal beside another: xterm.js, which is what VS Code shows, fed with the same output.

It is fetched by npm when the test runs; without npm, or without a network, there is nothing to
compare with, and the tests are skipped.
"""

import base64
import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.test_terminal import CASES, screen
from workstation.core.terminal.emulator import Emulator

pytestmark = pytest.mark.long

PEER = "@xterm/headless@5.5.0"

SCRIPT = """
const { Terminal } = require('@xterm/headless');
const outputs = JSON.parse(require('fs').readFileSync(0));
let failed = () => {};
process.on('uncaughtException', () => failed(true));
(async () => {
  const shown = {};
  for (const [name, data] of Object.entries(outputs)) {
    const terminal = new Terminal({ cols: 20, rows: 5, allowProposedApi: true });
    const broken = await new Promise((done) => {
      failed = done;
      terminal.write(Buffer.from(data, 'base64'), () => done(false));
    });
    if (broken) continue;  // it has faults of its own
    const page = terminal.buffer.active, rows = [];
    for (let y = 0; y < 5; y++) rows.push(page.getLine(page.baseY + y).translateToString(true));
    shown[name] = { rows, cursor: [page.cursorX, page.cursorY] };
  }
  console.log(JSON.stringify(shown));
})();
"""

Shown = tuple[list[str], tuple[int, int]]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which node finds it."""
    place = tmp_path_factory.mktemp("peer")
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("npm and node are not installed")
    fetch = ("npm", "install", "--no-save", "--no-audit", "--no-fund", PEER)
    done = subprocess.run(fetch, cwd=place, capture_output=True, timeout=90, check=False)
    if done.returncode:
        pytest.skip(f"{PEER} cannot be fetched here")
    (place / "show.js").write_text(SCRIPT)
    return place


def theirs(peer: Path, outputs: dict[str, bytes]) -> dict[str, Shown]:
    coded = {name: base64.b64encode(data).decode() for name, data in outputs.items()}
    done = subprocess.run(
        ("node", "show.js"), cwd=peer, input=json.dumps(coded), capture_output=True,
        text=True, timeout=90, check=True,
    )  # fmt: skip
    shown: dict[str, Any] = json.loads(done.stdout)
    # Behind the last column is how it says that a wrap is due.
    return {
        name: ([row.rstrip() for row in it["rows"]], (min(it["cursor"][0], 19), it["cursor"][1]))
        for name, it in shown.items()
    }


def ours(output: bytes) -> Shown:
    terminal: Emulator = screen(output)
    rows = terminal.board.capture_text(trim=False).split("\n")
    return [row.rstrip() for row in rows], terminal.port.cursor or (-1, -1)


def compare(peer: Path, outputs: dict[str, bytes]) -> None:
    found = theirs(peer, outputs)
    differing = {
        name: (outputs[name], ours(outputs[name]), other)
        for name, other in found.items()
        if ours(outputs[name]) != other
    }
    assert not differing


def test_our_cases_show_the_same_there(peer: Path) -> None:
    compare(peer, {name: case[0].encode() for name, case in CASES.items()})


# Left out, for there the two differ (docs/console.md): a wide character at the edge without
# wrapping; a saved cursor, which scrolls there; relative moves in the origin mode, which move twice
# there (its switch is among the cases).
PIECES = (
    "a", "word ", "x" * 23, "漢字", "e\u0301", "\r", "\n", "\r\n", "\b", "\t",
    "\x1bD", "\x1bM", "\x1bE", "\x1b[m", "\x1b[1;31m", "\x1b[?7h",
    "\x1b[4h", "\x1b[4l", "\x1b[r", "\x1b(0q\x1b(B", "\x1b[2;4r",
)  # fmt: skip
FINALS = "ABCDEFGHJKLMPSTXd@"


def program(source: random.Random) -> bytes:
    """What a program might print, in no sensible order."""
    made = []
    for _ in range(source.randint(1, 40)):
        if source.random() < 0.5:
            made.append(source.choice(PIECES))
        else:
            numbers = ";".join(str(source.randint(0, 6)) for _ in range(source.randint(0, 2)))
            final = source.choice(FINALS)
            # J and K know 0 to 2 (3 is the scrollback), most others one number.
            numbers = str(source.randint(0, 2)) if final in "JK" else numbers
            made.append(f"\x1b[{numbers if final in 'HJK' else numbers.split(';')[0]}{final}")
    return "".join(made).encode()


def test_whatever_programs_print_shows_the_same_there(peer: Path) -> None:
    source = random.Random(5)
    compare(peer, {str(number): program(source) for number in range(400)})

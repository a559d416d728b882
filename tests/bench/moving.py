"""`python -m tests.bench.moving SOCKET boxes|full`: a VNC server whose screen never rests.

It answers every request for an update at once, so that whoever looks sets the pace, and prints
the number of each frame.
"""

import asyncio
import struct
import sys
from itertools import count

WIDTH, HEIGHT = 1024, 768
HELLO = b"RFB 003.008\n" + b"\x01\x01" + bytes(4)
BOX = (160, 120)


def rectangle(x: int, y: int, width: int, height: int, pixels: bytes) -> bytes:
    return struct.pack(">HHHHi", x, y, width, height, 0) + pixels


def full() -> list[bytes]:
    """Noise, of which no line is as the line before."""
    noise = bytes(number * number * 7 % 251 for number in range(WIDTH * 4 * 3))
    frames = []
    for shift in range(0, 8):
        lines = (noise[(y * 37 + shift * 911) % (WIDTH * 8) :][: WIDTH * 4] for y in range(HEIGHT))
        frames.append(rectangle(0, 0, WIDTH, HEIGHT, b"".join(lines)))
    return frames


def boxes() -> list[bytes]:
    """Coloured boxes, each frame another one."""
    width, height = BOX
    frames = []
    for number in range(1, 9):
        x, y = 40 + 97 * number % 800, 30 + 61 * number % 600
        colour = bytes((number * 40 % 256, number * 90 % 256, 255 - number * 30 % 256, 0))
        frames.append(rectangle(x, y, width, height, colour * width * height))
    return frames


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mode: str) -> None:
    writer.write(HELLO + struct.pack(">HH16xI", WIDTH, HEIGHT, 0))
    await reader.readexactly(12 + 1 + 1 + 20)
    _, encodings = struct.unpack(">BxH", await reader.readexactly(4))
    await reader.readexactly(4 * encodings)
    frames = {"full": full, "boxes": boxes}[mode]()
    whole = full()[0]
    for number in count():
        await reader.readexactly(10)
        writer.write(
            struct.pack(">BxH", 0, 1) + (frames[number % len(frames)] if number else whole)
        )
        await writer.drain()
        print(number, flush=True)


async def main(path: str, mode: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer, mode)
        except (EOFError, ConnectionError):
            writer.close()

    server = await asyncio.start_unix_server(talk, path)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

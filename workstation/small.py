"""Small files, read whole: a look at a machine reads ten of them, and looks are many.

Imported by `workstation list`: quick modules only.
"""

import os
from pathlib import Path

_PIECE = 65536


def read_text(path: Path | str) -> str:
    """What `Path.read_text` gives, in a quarter of its time; raises OSError or ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, _PIECE)
        if len(data) == _PIECE:
            while piece := os.read(descriptor, _PIECE):
                data += piece
    finally:
        os.close(descriptor)
    return data.decode()

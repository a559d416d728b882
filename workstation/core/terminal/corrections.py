"""Where the engine does otherwise than xterm, and a program could show it: done over by us."""

from collections.abc import Callable
from dataclasses import replace

from bittty import Board
from bittty.operations import Operation

ORIGIN = 6
"""DECOM's number."""

Handler = Callable[[Operation], object]


def correct(board: Board) -> None:
    """Put handlers of ours before the engine's, or in their place."""
    registry = board.registry
    for name in ("DECSET", "DECRST"):
        registry[name] = _homing(board, registry[name])
    for name in ("CUU", "CPL"):
        registry[name] = _stopping(board, registry[name], _rows_above)
    for name in ("CUD", "CNL"):
        registry[name] = _stopping(board, registry[name], _rows_below)
    for name in ("ICH", "DCH"):
        registry[name] = _anywhere(board, registry[name])
    scroll_down = registry["SD"]
    # A number that is 0 is as one that is missing (ECMA-48, 8.3.113).
    registry["SD"] = lambda op: scroll_down(op if op.args[0] else replace(op, args=(1,)))


def _homing(board: Board, engine: Handler) -> Handler:
    """Switching the origin mode brings the cursor home (DEC STD 070)."""

    def handler(op: Operation) -> None:
        engine(op)
        if ORIGIN in op.args[0]:
            board.cursor.move_to(0, 0)

    return handler


def _stopping(board: Board, engine: Handler, most: Callable[[Board], int]) -> Handler:
    """Moves by rows stop at a scrolling margin that they meet (xterm's CursorUp, CursorDown)."""
    return lambda op: engine(replace(op, args=(min(op.args[0], most(board)),)))


def _anywhere(board: Board, engine: Handler) -> Handler:
    """They act above and below the scrolling margins too (xterm's InsertChar, DeleteChar)."""

    def handler(op: Operation) -> None:
        screen = board.blitter
        margins = screen.scroll_top, screen.scroll_bottom
        screen.scroll_top, screen.scroll_bottom = 0, screen.rows - 1
        try:
            engine(op)
        finally:
            screen.scroll_top, screen.scroll_bottom = margins

    return handler


def _rows_above(board: Board) -> int:
    y, top = board.cursor.y, board.blitter.scroll_top
    return int(y - top if y >= top else y)


def _rows_below(board: Board) -> int:
    y, bottom = board.cursor.y, board.blitter.scroll_bottom
    return int(bottom - y if y <= bottom else board.blitter.rows - 1 - y)

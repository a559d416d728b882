"""How a state looks: a glyph, a word and a colour of the theme, never the colour alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from workstation.model.machine import MachineView


class Look(NamedTuple):
    glyph: str
    word: str
    style: str
    meaning: str


LOOKS = {
    "running": Look("●", "running", "$text-success", "The guest runs."),
    "paused": Look("⏸", "paused", "$text-warning", "The guest stands still, its memory is kept."),
    "starting": Look("◌", "starting", "$text-accent", "QEMU is being started."),
    "stopping": Look("◌", "stopping", "$text-accent", "The guest has been asked to power off."),
    "frozen": Look("❄", "frozen", "$text-primary", "Its memory lies on disk; start goes on there."),
    "off": Look("○", "off", "$text-muted", "Nothing of it runs."),
    "created": Look("○", "created", "$text-muted", "Made, and never started."),
    "crashed": Look("!", "crashed", "$text-error", "QEMU ended by itself; the details say why."),
}
"""By the word of a `State`."""

PANIC = Look("!", "panic", "$text-error", "The guest says that its system has crashed.")
PROBLEM = Look("⚠", "problem", "$text-warning", "Its file cannot be used as it stands.")

LAYERS = (
    Look("●", "now", "$text-success", "The machine as it is."),
    Look("◆", "golden", "$text-warning", "The layer that a reset brings back."),
    Look("○", "layer", "$text-muted", "A frozen moment."),
    Look("❄", "memory", "$text-primary", "The guest's memory is kept in it: it goes on there."),
)


def look_of(view: MachineView) -> Look:
    """A live machine keeps its word when its file goes bad: what runs is not hurt by that."""
    look = PANIC if view.panicked and view.state == "paused" else LOOKS[view.state]
    if view.problem:
        return PROBLEM._replace(word=look.word) if view.state.live else PROBLEM
    return look

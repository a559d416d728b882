"""A box to tick. One that is not ticked is empty, and not only of another colour."""

from textual.widgets import Checkbox


class Tick(Checkbox):
    """Shows `X` or nothing."""

    def on_mount(self) -> None:
        self._mark()

    def watch_value(self) -> None:
        super().watch_value()
        self._mark()

    def _mark(self) -> None:
        self.BUTTON_INNER = "X" if self.value else " "
        self.refresh(layout=True)

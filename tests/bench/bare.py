"""A Textual program that does next to nothing: what the screens are held against."""

from textual.app import App, ComposeResult
from textual.widgets import OptionList


class Bare(App[None]):
    def compose(self) -> ComposeResult:
        yield OptionList(*(f"line-{number:03}" for number in range(200)))


if __name__ == "__main__":
    Bare().run()

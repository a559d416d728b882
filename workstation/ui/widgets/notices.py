"""What stands in the place of the details while there is no machine to show."""

from __future__ import annotations

from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from workstation.model.text import safe_line

NO_MATCH = Content.styled("No machine matches. Escape shows all again.", "$text-muted")


class Notice(Static):
    """A few words in the middle of the pane."""


class Banner(Static):
    """One line below the header: what keeps this computer from running machines."""


def looking(then: str = "") -> Content:
    """While the machines are looked for; `then` is the command that was asked for meanwhile."""
    more = f" Then comes: {then}" if then else ""
    return Content.styled(f"Looking for machines…{more}", "$text-muted")


def welcome() -> Content:
    """How to begin."""
    return Content.assemble(
        ("No machines yet", "bold"),
        "\n\n",
        _key("Enter", "demo"),
        "makes the demo and starts it:\n",
        " " * 9 + "a small Linux with a web page\n\n",
        _key("n", "new"),
        "a machine from a profile\n",
        _key("D", "doctor"),
        "what this computer has for machines\n",
        _key("?", "help"),
        "explains the screen",
    )


def making() -> Content:
    return Content.assemble(
        ("Making the demo", "bold"),
        "\n\n",
        ("The line below shows how far it is.\n", "$text-muted"),
        ("The first time takes a little longer:\n", "$text-muted"),
        ("its Linux is put together on this computer.", "$text-muted"),
    )


def host_problem(text: str, mend: str) -> Content:
    click = Style.from_meta({"@click": "screen.command('doctor')"})
    hint = f": {safe_line(mend)}" if mend else ""
    doctor = Content.assemble(("D", "bold $footer-key-foreground"), " more").stylize(click)
    return Content.assemble((f"⚠ {safe_line(text)}", "bold"), hint, "  ", doctor)


def _key(key: str, command: str) -> Content:
    click = Style.from_meta({"@click": f"screen.command('{command}')"})
    return Content.assemble((f"{key:>5}", "bold $footer-key-foreground"), "    ").stylize(click)

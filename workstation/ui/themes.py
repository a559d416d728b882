"""The program's own colours, dark and light; Textual's themes can be chosen as well."""

from textual.constants import DEFAULT_THEME
from textual.theme import Theme

DARK = Theme(
    name="workstation",
    primary="#6cb6d9",
    secondary="#8aa6c1",
    accent="#c9a7eb",
    success="#86c58f",
    warning="#e3b46b",
    error="#e67a7f",
    foreground="#d5dbe3",
    background="#12161c",
    surface="#181d25",
    panel="#212833",
    variables={
        "text-muted": "#8a95a5",
        "footer-key-foreground": "#8fcbe8",
        "border": "#3a4657",
        "border-blurred": "#2a323e",
        "block-cursor-text-style": "none",
        "block-cursor-background": "#2b4a5c",
        "block-cursor-foreground": "#eef3f8",
        "button-focus-text-style": "bold",
    },
)

LIGHT = Theme(
    name="workstation-light",
    primary="#1c6f94",
    secondary="#4a657f",
    accent="#7b4fa6",
    success="#2e7d3a",
    warning="#96640a",
    error="#b3343c",
    foreground="#22282f",
    background="#f7f8fa",
    surface="#eef0f4",
    panel="#e0e4ea",
    dark=False,
    variables={
        "text-muted": "#5d6875",
        "footer-key-foreground": "#155d7e",
        "border": "#aab4c0",
        "border-blurred": "#ccd3db",
        "block-cursor-text-style": "none",
        "block-cursor-background": "#c4dfec",
        "block-cursor-foreground": "#14181c",
    },
)

THEMES = (DARK, LIGHT)
OWN = DARK.name
DEFAULT = OWN if DEFAULT_THEME == "textual-dark" else DEFAULT_THEME
"""Ours, unless TEXTUAL_THEME names another."""

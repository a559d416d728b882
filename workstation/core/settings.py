"""The person's settings, read when the program starts."""

import re

from workstation.core import atomic
from workstation.model.settings import Settings
from workstation.paths import Paths
from workstation.profile.load import read_text, validate
from workstation.profile.yaml_source import read


def load_settings(paths: Paths) -> Settings:
    """The settings file's, or the defaults where there is none; raises ProfileError."""
    if not paths.settings.exists():
        return Settings()
    source = read(read_text(paths.settings), str(paths.settings))
    if source.data is None and not source.problems:
        return Settings()
    return validate(Settings, source)


def save_theme(paths: Paths, theme: str) -> None:
    """Put the theme into the settings file; every other line of it stays as it is."""
    line = f"theme: {theme}\n"
    text = read_text(paths.settings) if paths.settings.exists() else ""
    changed, count = re.subn(r"^theme[ \t]*:.*\n?", line, text, flags=re.MULTILINE)
    if not count:
        changed = f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{line}"
    paths.settings.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(paths.settings, changed)

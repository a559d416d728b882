"""The person's settings, read when the program starts."""

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

"""What a person answers to the questions of a new machine, put into the profile."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workstation.core.making import sources
from workstation.errors import UsageError
from workstation.model.profile import Profile
from workstation.model.text import safe_line
from workstation.paths import Paths
from workstation.profile.catalog import find_profile
from workstation.profile.load import load_profile
from workstation.profile.overrides import apply_overrides


@dataclass(frozen=True, slots=True)
class Answers:
    """Texts as they were typed; None leaves the profile's own, an empty one takes it away."""

    memory: str | None = None
    cpus: str | None = None
    disk: str | None = None
    """The first disk's size."""
    image: str | None = None
    """What the first disk starts as: an image's name, or a file."""
    iso: str | None = None
    """The disc in the first CD drive: an image's name, or a file."""
    user: str | None = None
    """Who logs in; cloud-init makes that user."""
    key: str | None = None
    """The SSH key that logs in: `auto`, `own`, `machine` or `none`."""
    hostname: str | None = None
    """What the system calls itself."""


def start_from(paths: Paths, profile: str, answers: Answers) -> Profile:
    """The profile by name, file or directory; without one, what the image or the disc suggests."""
    if profile:
        return load_profile(find_profile(paths, profile))
    if answers.image:
        return sources.from_image(paths, answers.image)
    if answers.iso:
        return sources.from_disc(paths, answers.iso)
    raise UsageError(
        "it must be said what the machine is made from",
        hint="with --profile, --image, --iso or --from; workstation profile list names profiles",
    )


def apply(profile: Profile, answers: Answers, settings: Sequence[str] = ()) -> Profile:
    """The profile with the answers, then with each `key=value` of `settings`.

    Raises ProfileError, whose problems name the option.
    """
    said = dict(_settings(answers))
    more = {setting: _said("--set", setting) for setting in settings}
    return apply_overrides(profile, (*said, *settings), said=more | said)


def _settings(answers: Answers) -> Iterator[tuple[str, str]]:
    """Each as a `key=value`, and how it was said."""
    if answers.cpus is not None:
        said = _said("--cpus", answers.cpus)
        yield f"cpu.cores={answers.cpus or 'null'}", said
        yield "cpu.sockets=1", said
        yield "cpu.threads=1", said
    for option, key, value in (
        ("--memory", "memory", answers.memory),
        ("--disk", "drives[0].size", answers.disk),
        ("--image", "drives[0].image", answers.image and sources.reference(answers.image)),
        ("--iso", "cdroms[0].image", answers.iso and sources.reference(answers.iso)),
        ("--user", "provision.user", answers.user),
        ("--key", "provision.ssh_key", None if answers.key is None else answers.key or "auto"),
        ("--hostname", "provision.hostname", answers.hostname),
    ):
        if value is not None:
            yield f"{key}={_quoted(value)}", _said(option, value)


def _said(option: str, value: str) -> str:
    return f"{option} {safe_line(value, limit=80)}"


def _quoted(text: str) -> str:
    """As YAML text, whatever it holds; nothing stands for no value."""
    return "'" + text.replace("'", "''") + "'" if text else "null"

"""Values back to YAML that a person likes to edit; reading it gives the same value again."""

from typing import Any

import yaml

from workstation.model.machine import Definition
from workstation.model.profile import Profile
from workstation.model.text import safe_line
from workstation.profile.yaml_source import plain_value


def dump_profile(profile: Profile, *, schema: str = "schema.json") -> str:
    """YAML of a profile, without what is as it is by default.

    `schema` is where the JSON Schema lies: a path from the file, or a URL; empty for no such line.
    """
    line = f"# yaml-language-server: $schema={schema}\n" if schema else ""
    return line + _yaml(_plain(profile))


def dump_definition(definition: Definition, name: str) -> str:
    """The text of a machine's `machine.yaml`."""
    identity = definition.model_dump(mode="json", exclude={"profile"}, exclude_defaults=True)
    return (
        f"# The machine “{safe_line(name)}”. Edit it and save: changes count from its next start.\n"
        "# docs/profiles.md says what each key may hold. Leave uuid and created as they are.\n"
        + _yaml({**identity, "profile": _pinned(definition.profile)})
    )


def _pinned(profile: Profile) -> dict[str, Any]:
    """The profile in full, so that no later default changes what the guest sees."""
    values = profile.model_dump(mode="json", exclude_none=True, exclude={"provision"})
    user = profile.provision.user
    # All else in it is of the time before the machine was made.
    return {**values, "provision": {"user": user}} if user else values


def _plain(profile: Profile) -> dict[str, Any]:
    """The profile as plain data: what was chosen, and what people look for first."""
    chosen = profile.model_dump(mode="json", exclude_defaults=True)
    everything = profile.model_dump(mode="json", include={"cpu": {"cores"}, "memory": True})
    merged = {**everything, **chosen}
    merged["cpu"] = {**chosen.get("cpu", {}), **everything["cpu"]}
    return {key: merged[key] for key in Profile.model_fields if key in merged}


class _Dumper(yaml.SafeDumper):
    """Block style with lists indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_BREAKS = "\x85\u2028\u2029"
"""Line breaks to YAML 1.1, and nothing special to 1.2."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if _is_block(text) else None
    if plain_value(text) != text:
        # YAML 1.2 takes it for a number; PyYAML, which knows the rules of 1.1, might not.
        style = "'"
    if any(char in text for char in _BREAKS):
        style = '"'  # any other style would fold them into spaces
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _is_block(text: str) -> bool:
    """Whether a block scalar keeps the text exactly, and is nice to read."""
    lines = text.removesuffix("\n").split("\n")
    clean = all(line.isprintable() and line == line.rstrip() for line in lines)
    return "\n" in text and clean and bool(lines[0]) and lines[0][0] != " " and lines[-1] != ""


def _represent_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    flow = all(isinstance(value, str) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flow)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)


def _yaml(values: dict[str, Any]) -> str:
    text: str = yaml.dump(
        values,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=4096,
    )
    return text

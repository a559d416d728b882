"""The JSON Schema of a profile: for editors, and for saying what a key may hold."""

import ast
import inspect
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel

from workstation.model import machine, network, profile, provision
from workstation.model.profile import Profile
from workstation.model.units import exact_size
from workstation.profile.keys import Path

Node = dict[str, Any]


def profile_schema() -> Node:
    """JSON Schema, draft 2020-12, of a profile's YAML; a new copy."""
    schema = Profile.model_json_schema()
    _describe(schema, _docstrings())
    _tidy(schema)
    # pydantic gives the default as bytes, which the file could not say.
    schema["properties"]["memory"]["default"] = exact_size(Profile.model_fields["memory"].default)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Workstation profile",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _docstrings() -> dict[tuple[str, str], str]:
    """What stands below each field of the model; read from its source, on demand only."""
    texts: dict[tuple[str, str], str] = {}
    for module in (profile, network, machine, provision):
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                texts |= {(node.name, name): text for name, text in _field_texts(node)}
    return texts


def _field_texts(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            yield field.target.id, inspect.cleandoc(str(after.value.value))


def _describe(schema: Node, texts: dict[tuple[str, str], str]) -> None:
    """Give each property the text that stands below its field."""
    sections = {**schema["$defs"], schema["title"]: schema}
    for section, node in sections.items():
        for name, field in node.get("properties", {}).items():
            if text := texts.get((section, name)):
                field["description"] = " ".join(text.split())


def _tidy(node: Any) -> None:
    """Leave out generated titles; say `X or null` in the way that editors explain best."""
    if isinstance(node, list):
        for part in node:
            _tidy(part)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title"), str):
        del node["title"]
    match node.get("anyOf"):
        case [{"type": str(kind), **rest}, {"type": "null"}]:
            del node["anyOf"]
            node |= {"type": [kind, "null"], **rest}
    for part in node.values():
        _tidy(part)


@cache
def _schema_of(model: type[BaseModel]) -> Node:
    schema = model.model_json_schema()
    _tidy(schema)
    return schema


def node_at(model: type[BaseModel], path: Path) -> Node:
    """What the schema says of a key; empty where it knows no such key."""
    schema = _schema_of(model)
    node = schema
    for step in path:
        node = node.get("items", {}) if isinstance(step, int) else _property(node, step)
        node = _resolved(schema, node)
    return node


def _property(node: Node, name: str) -> Node:
    found: Node = node.get("properties", {}).get(name, {})
    return found


def _resolved(schema: Node, node: Node) -> Node:
    match node.get("anyOf"):
        case [{"$ref": str(section)}, {"type": "null"}]:
            node = {"$ref": section}
    reference = node.get("$ref", "")
    found: Node = schema["$defs"][reference.rpartition("/")[2]] if reference else node
    return found


def keys_called(model: type[BaseModel], name: str) -> list[str]:
    """Where else a key of that name lives: `boot.firmware` of `firmware`."""
    return [key for key, last in _all_keys(_schema_of(model)) if last == name]


def _all_keys(
    schema: Node, node: Node | None = None, prefix: str = ""
) -> Iterator[tuple[str, str]]:
    for name, field in (node or schema).get("properties", {}).items():
        yield f"{prefix}{name}", name
        inner, mark = _resolved(schema, field), ""
        if "items" in inner:
            inner, mark = _resolved(schema, inner["items"]), "[0]"
        if "properties" in inner:
            yield from _all_keys(schema, inner, f"{prefix}{name}{mark}.")


def all_keys() -> list[str]:
    """Every key that a profile can hold, dotted, `[0]` for the entries of a list."""
    return [key for key, _ in _all_keys(_schema_of(Profile))]


def schema_text() -> str:
    """The schema as `workstation profile schema` prints it and `profiles/schema.json` holds it."""
    return json.dumps(profile_schema(), ensure_ascii=False, indent=2) + "\n"

"""XML of strangers: small, without entities, and asked for by plain names."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workstation.errors import InvalidError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element, TreeBuilder

MOST_BYTES = 4 * 2**20
"""VirtualBox writes each machine's whole state into its OVF: some ten KiB."""

_MOST_ELEMENTS = 50_000
_MOST_DEPTH = 60


def parse(text: bytes, file: str) -> "Element":
    """The root; raises InvalidError for what is no XML, or is meant to hurt."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser, ParseError

    if len(text) > MOST_BYTES:
        raise InvalidError(f"{file} is larger than {MOST_BYTES // 2**20} MiB: no description")
    parser = DefusedXMLParser(target=_builder(file), forbid_dtd=True)
    try:
        parser.feed(text)
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise InvalidError(f"{file} defines a document type or entities") from error
    except (ParseError, ValueError, LookupError) as error:
        raise InvalidError(f"{file} is not XML: {error}") from error
    return root


def _builder(file: str) -> "TreeBuilder":
    """Builds the tree as long as it is one that a description could have."""
    from xml.etree.ElementTree import TreeBuilder

    class Modest(TreeBuilder):
        elements = depth = 0

        def start(self, tag: str, attrs: dict[str, str]) -> "Element":
            self.elements, self.depth = self.elements + 1, self.depth + 1
            if self.elements > _MOST_ELEMENTS or self.depth > _MOST_DEPTH:
                raise InvalidError(
                    f"{file} has more than {_MOST_ELEMENTS} elements, or {_MOST_DEPTH} in each"
                    " other: no description has"
                )
            return super().start(tag, attrs)

        def end(self, tag: str) -> "Element":
            self.depth -= 1
            return super().end(tag)

    return Modest()


def local(name: str) -> str:
    """A name without its namespace: OVF has had three, and everybody writes each."""
    return name.rpartition("}")[2]


def each(element: "Element", *names: str) -> Iterator["Element"]:
    """The children of those names."""
    return (child for child in element if local(child.tag) in names)


def first(element: "Element | None", *path: str) -> "Element | None":
    """The first child of that name, of that of the next name, and so on."""
    for name in path:
        element = next(each(element, name), None) if element is not None else None
    return element


def text(element: "Element | None", *path: str) -> str:
    """The text of the element that `first` finds; empty where there is none."""
    found = first(element, *path)
    return (found.text or "").strip() if found is not None else ""


def attribute(element: "Element | None", name: str) -> str:
    """An attribute, whatever its namespace."""
    if element is None:
        return ""
    return next((value for key, value in element.items() if local(key) == name), "").strip()

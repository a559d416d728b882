"""The strict YAML reader: what it takes, where things stand, and what it refuses."""

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from workstation.profile import yaml_source
from workstation.profile.yaml_source import MOST_BYTES, Spot, read


def problems(text: str) -> list[str]:
    return [str(problem) for problem in read(text, "f").problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("on", "on"),
        ("~", None),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("0x10", 16),
        ("0o17", 15),
        ("017", 17),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("8080:22", "8080:22"),
        ("2024-01-02", "2024-01-02"),
        ('"12"', "12"),
        ("[8081:80, a]", ["8081:80", "a"]),
        ("{a: 1}", {"a": 1}),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    source = read(f"key: {text}", "f")
    assert source.data == {"key": value}
    assert type(source.data["key"]) is type(value)
    assert not source.problems


def test_every_key_and_value_has_its_place() -> None:
    source = read("a: 1\nb:\n  - c:  x\n  - [y, z]\n", "f")
    assert source.keys[("b",)] == Spot(2, 1)
    assert source.values[("b", 0, "c")] == Spot(3, 9)
    assert source.keys[("b", 0, "c")] == Spot(3, 5)
    assert source.values[("b", 1, 1)] == Spot(4, 9)
    # What is not there points at what is around it.
    assert source.spot(("b", 0, "missing")) == Spot(3, 5)
    assert source.spot(("nowhere",)) == Spot(1, 1)


def test_columns_count_characters() -> None:
    assert read("ä: “x”\nb: {ü: 1, c: 2}", "f").keys[("b", "c")] == Spot(2, 11)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &x 1", "f:1:4: a: anchors (&…) are not allowed here"),
        ("a: 1\nb: *x", "f:2:4: b: aliases (*…) are not allowed here"),
        ("a: {<<: {b: 1}}", "f:1:5: a: merge keys (<<) are not allowed here"),
        ("a: !!str 1", "f:1:4: a: tags (!…) are not allowed here"),
        ("a: !!python/object:os.system 1", "f:1:4: a: tags (!…) are not allowed here"),
        ("? [x]\n: 1", "f:1:3: a key is a plain word here"),
        ("a: 1\nb: 2\na: 3", "f:3:1: a: given twice; first in line 1"),
        ("a: 1\n---\nb: 1", "f:2:1: a second document begins here; one is allowed"),
        ("a: 12345678901234567890", "f:1:4: a: a number has at most 18 digits"),
        ("a: [1, 2\nb: 1", "f:2:2: not YAML: a “,” or the closing bracket is missing"),
        ("a: 'b", "f:1:6: not YAML: a quotation mark is never closed"),
        ("a: \x1b[0m", "f:1:4: not YAML: a control character (U+001B) stands here"),
        ("a: \ud800", "f:1:1: this is not text in UTF-8"),
        ("a:\n  b: 1\n c: 2", "f:3:2: not YAML: the indentation is off here, or a key is missing"),
    ],
)
@pytest.mark.parametrize("parser", ["CSafeLoader", "SafeLoader"])
def test_what_is_refused_is_said_with_its_place(
    text: str, problem: str, parser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hasattr(yaml, parser):
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr(yaml_source, "_Loader", getattr(yaml, parser))
    assert problems(text) == [problem]


def test_reading_goes_on_after_a_problem() -> None:
    source = read("a: &x 1\nb: *x\na: 2\nc: 3\n", "f")
    assert [problem.line for problem in source.problems] == [1, 2, 3]
    assert source.data["c"] == 3
    assert source.data["a"] == 1


HOSTILE = {
    "flow depth": "[" * 200_000,
    "block depth": "- " * 100_000,
    "mapping depth": "{a: " * 50_000,
    "indent depth": "\n".join(" " * level + "a:" for level in range(600)),
    "key depth": "? " * 100_000,
    "values": "a: [" + "1," * 120_000 + "]",
    "aliases": "a: &a [x]\n" + "".join(f"b{n}: [*a, *a]\n" for n in range(10_000)),
    "merge keys": "a: &a {x: 1}\n" + "b: {<<: [*a, *a]}\n" * 10_000,
    "duplicates": "a: 1\n" * 50_000,
    "anchors": "&a " * 80_000,
    "tags": "!" * 200_000,
    "quotes": '"' * 200_000,
    "directives": "%a b\n" * 50_000,
    "digits": "a: " + "9" * 250_000,
    "exponent": "a: 1e" + "9" * 250_000,
    "size": "a: b\n" * MOST_BYTES,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_are_refused_with_little_work(kind: str) -> None:
    before = time.process_time()
    source = read(HOSTILE[kind], "f")
    # Milliseconds, as measured; the bound is there to catch seconds, on any machine.
    assert time.process_time() - before < 5
    assert source.problems or kind == "exponent"


def test_a_billion_laughs_are_not_laughed() -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    source = read("\n".join(lines), "f")
    assert len(source.problems) == 40 + 2 * 39
    assert source.data["a39"] == [None, None]


YAML_LIKE = st.text(st.sampled_from("ab:-?#&*!|>'\"%@`{}[],<= \n\t\\~\x00\x85\u2028\ufeff019.é"))


@given(st.one_of(st.text(), YAML_LIKE, st.text(st.characters(exclude_categories=()))))
def test_no_text_makes_it_raise(text: str) -> None:
    source = read(text, "f")
    for problem in source.problems:
        assert "\n" not in str(problem)
        assert problem.line >= 1
        assert problem.column >= 1

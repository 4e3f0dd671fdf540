"""Front matter: what is read, and that nothing else of YAML is."""

from __future__ import annotations

import importlib.util
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.errors import CellError
from orch_nb.schema.yaml import load_yaml, locate_yaml, split_front_matter
from tests.counting import calls_of

if TYPE_CHECKING:
    from pathlib import Path


def test_a_cell_is_split_at_its_two_lines() -> None:
    """A cell is split into the YAML, the prompt, and the number of lines above each."""
    got = split_front_matter("---\nmodel: small\nout: str\n---\nHello\n\n---\nworld\n")
    assert got == ("model: small\nout: str\n", "Hello\n\n---\nworld\n", 4)
    assert got.yaml_offset == 1


def test_blank_lines_above_are_counted() -> None:
    """Front matter may begin after blank lines; the counts hold."""
    got = split_front_matter("\n\n---\na: 1\n---  \nHello")
    assert (got.yaml, got.prompt, got.offset, got.yaml_offset) == ("a: 1\n", "Hello", 5, 3)


@pytest.mark.parametrize("body", ["Hello\n---\nworld\n---\n", "", "\n", "--- a\nb", "----\na\n----\n"])
def test_without_it_all_is_prompt(body: str) -> None:
    """A body that does not begin with `---` has no front matter."""
    assert split_front_matter(body) == ("", body, 0)


def test_unclosed_front_matter_is_an_error() -> None:
    """One `---` alone names its line and says what is missing."""
    with pytest.raises(CellError, match="never closed") as caught:
        split_front_matter("\n---\nmodel: small\nHello")
    assert caught.value.line == 2
    assert "---" in caught.value.hint


def test_an_empty_front_matter_is_an_empty_mapping() -> None:
    """Nothing, blanks and comments are {}."""
    assert split_front_matter("---\n---\nHello") == ("", "Hello", 2)
    assert [load_yaml(t) for t in ("", "\n", "# nothing\n")] == [{}, {}, {}]


def test_data_of_every_kind() -> None:
    """Mappings, lists, text in every style, plain numbers, booleans and null."""
    text = (
        "model: small\nout: {category: billing | technical, note?: str, tags: [str]}\ntools: [a, b]\nbudget: 0.50\n"
        "retry: 3\ncache: true\nmemory: false\nrole: \"a \\\"b\\\"\"\ngoal: 'it''s'\ndescribe: |\n  two\n  lines\nnone: null\n"
        "deep: {a: [{b: -1.5}]}\nasked?: what? why?\n"
    )
    assert load_yaml(text) == {
        "model": "small", "out": {"category": "billing | technical", "note?": "str", "tags": ["str"]}, "tools": ["a", "b"],
        "budget": 0.5, "retry": 3, "cache": True, "memory": False, "role": 'a "b"', "goal": "it's",
        "describe": "two\nlines\n", "none": None, "deep": {"a": [{"b": -1.5}]}, "asked?": "what? why?",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["yes", "no", "on", "off", "Yes", "TRUE", "True", "1e3", "1.5e-3", "0o17", "017", "0x1f", "1_000", ".inf", "-.inf", ".nan",
     "2020-01-01", "2026-13-45", "12:30", "+1", "1.", ".5", "--1", "1" * 40, "=", "NULL"],
)  # fmt: skip
def test_what_yaml_would_guess_stays_text(text: str) -> None:
    """Words, dates, octals, exponents and infinities are the text that was typed."""
    assert load_yaml(f"model: {text}") == {"model": text}


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("-7", -7), ("12.50", 12.5), ("true", True), ("~", None), ("", None)]
)
def test_what_is_no_text(text: str, value: Any) -> None:
    """JSON's numbers without exponent, true, false and null are values; quoted they are text."""
    assert load_yaml(f"x: {text}") == {"x": value}
    assert load_yaml(f'x: "{text}"') == {"x": text}


def test_half_a_character_is_refused() -> None:
    """Two escaped halves are one character; one alone is an error."""
    assert load_yaml('a: "\\ud83d\\ude00"') == {"a": "\U0001f600"}
    with pytest.raises(CellError, match="unpaired surrogate"):
        load_yaml('a: "x\\ud83d"')


def test_numbers_keep_their_digits_beside() -> None:
    """`raw` has what was typed, so that a budget of 0.50 and a model 4.10 lose nothing."""
    got = locate_yaml("model: 4.10\nlist: [1, {a: 2.0}]")
    assert got.raw == {("model",): "4.10", ("list", "0"): "1", ("list", "1", "a"): "2.0"}


def test_every_key_has_its_line_in_the_cell() -> None:
    """Lines count from the top of the cell."""
    got = locate_yaml("a: 1\nout:\n  b: str\n  c: {d: int}\n", line_offset=2)
    assert got.lines == {("a",): 3, ("out",): 4, ("out", "b"): 5, ("out", "c"): 6, ("out", "c", "d"): 6}


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("a: 1\nb: &x 2", 2, 4, "anchors (`&x`)"),
        ("a: *x", 1, 4, "aliases (`*x`)"),
        ("a: !!python/name:os.system", 1, 4, "tags"),
        ("a: !mine x", 1, 4, "tags (`!mine`)"),
        ("a: !!str x", 1, 4, "tags"),
        ("<<: {a: 1}", 1, 1, "merging"),
        ("a: 1\nb: 2\na: 3", 3, 1, "the key `a` is twice here; first on line 1"),
        ("o: {a: 1, 'a': 2}", 1, 11, "the key `a` is twice"),
        ("? [1, 2]\n: x", 1, 3, "a key is a word"),
        ("? {a: 1}\n: x", 1, 3, "a key is a word"),
        ("%YAML 1.2\n---\na: 1", 1, 1, "directives"),
        ("%TAG ! tag:x,2000:\n---\na: 1", 1, 1, "directives"),
        ("a: 1\n---\nb: 2", 2, 1, "second document"),
        ("- a\n- b", 1, 1, "must be a mapping"),
        ("just text", 1, 1, "must be a mapping"),
        ("3", 1, 1, "must be a mapping"),
        ("\ta: 1", 1, 1, "must be YAML"),
        ("a: [1, 2", 1, 9, "must be YAML"),
        ("a: b: c", 1, 5, "mapping values"),
        ("out: {a: [str] | null}", 1, 16, "must be YAML"),
        ('a: "x', 1, 6, "must be YAML"),
        ("a: x\x00y", 1, 5, "U+0000"),
        ("a: \x1b[2J", 1, 4, "U+001B"),
        ('a: "\\UFFFFFFFF"', 1, 0, "must be YAML"),
        ('a: "\\U00110000"', 1, 0, "must be YAML"),
    ],
)
def test_the_rest_of_yaml_is_refused_at_its_place(text: str, line: int, column: int, said: str) -> None:
    """Anchors, aliases, tags, merges, duplicates, directives, documents and bad syntax: line and column in the cell."""
    with pytest.raises(CellError) as caught:
        load_yaml(text, line_offset=10)
    assert said in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line + 10, column)


def test_hints_say_what_to_write() -> None:
    """Tabs, types after brackets and colons in text have a hint."""
    for text, hint in (("\ta: 1", "spaces"), ("out: {a: [str] | null}", '"[str] | null"'), ("a: b: c", "quote")):
        with pytest.raises(CellError) as caught:
            load_yaml(text)
        assert hint in caught.value.hint


def test_depth_and_size_are_bounded() -> None:
    """Sixteen levels, ten thousand values and 64 kB are the most."""
    assert load_yaml("a: " + "[" * 16 + "]" * 16)
    for text, said in (("a: " + "[" * 17 + "]" * 17, "deeper than 16"), ("a: [" + "1," * 10_001 + "]", "10,000 values"),
                       ("a: " + "é" * 40_000, "80,003 bytes")):  # fmt: skip
        with pytest.raises(CellError, match=said):
            load_yaml(text)


def test_a_long_line_is_shown_short() -> None:
    """An error on a line of thousands of characters shows its beginning."""
    with pytest.raises(CellError) as caught:
        load_yaml("a: " + "[" * 5_000)
    assert len(str(caught.value)) < 400


def test_hostile_yaml_is_data_or_a_typed_error_at_once(shared: Path) -> None:
    """Each text of the corpus is plain data or a CellError with its line, after at most 2 million calls and in 100 MB."""
    spec = importlib.util.spec_from_file_location("payloads", shared / "tools" / "faults" / "payloads.py")
    assert spec is not None
    assert spec.loader is not None
    corpus = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(corpus)
    for text in corpus.YAML:

        def load(text: str = text) -> None:
            try:
                data = load_yaml(text, line_offset=1)
            except CellError as error:
                assert error.line >= 2
            else:
                assert all(isinstance(v, str | int) for v in data.values())

        assert calls_of(load) < 2_000_000
        tracemalloc.start()
        load()
        assert tracemalloc.get_traced_memory()[1] < 100e6
        tracemalloc.stop()

"""Prompts: what is read, what is put in, and that nothing else can happen."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.errors import BadExpression, UnstorableValue
from orch_nb.lang.template import MAX_TEMPLATE_BYTES, Template, read_path

if TYPE_CHECKING:
    from pathlib import Path


def filled(text: str, **values: Any) -> str:
    """The template's text with values of one part."""
    return Template.parse(text).render(lambda path, optional: values.get(path[0]))


def test_reads_are_declared_once_with_their_place() -> None:
    """Each distinct path is one read, at the line and column of its first place, counted as the cell counts."""
    reads = Template.parse("Hi {{ a }}\n{{b.c.d}} {{ a }}", source_line_offset=4).reads
    assert [(r.path, r.line, r.column) for r in reads] == [(("a",), 5, 4), (("b", "c", "d"), 6, 1)]
    assert [(r.name, r.text) for r in reads] == [("a", "a"), ("b", "b.c.d")]


def test_a_read_is_optional_only_if_every_mention_is() -> None:
    """`{{ x? }} {{ x }}` needs x; `{{ x? }} {{ x? }}` does not."""
    assert [r.optional for r in Template.parse("{{ x? }} {{ x }}").reads] == [False]
    assert [r.optional for r in Template.parse("{{ x? }} {{ x? }}").reads] == [True]


def test_render_asks_for_each_mention() -> None:
    """`values` gets the path and whether this mention is optional."""
    asked = []
    Template.parse("{{ a.b? }}{{ a.b }}").render(lambda path, optional: asked.append((path, optional)) or "")
    assert asked == [(("a", "b"), True), (("a", "b"), False)]


@pytest.mark.parametrize(
    ("value", "text"),
    [("a b", "a b"), (3, "3"), (0.5, "0.5"), (True, "true"), ({"a": [1, "é"]}, '{"a":[1,"é"]}'), (None, "null")],
)
def test_values_are_text_or_compact_json(value: Any, text: str) -> None:
    """Text goes in as it is, everything else as compact JSON."""
    assert filled("<{{ x }}>", x=value) == f"<{text}>"


def test_an_absent_optional_read_is_empty() -> None:
    """None of an optional read leaves nothing in the prompt."""
    assert filled("<{{ x? }}>", x=None) == "<>"


def test_values_are_never_read_again() -> None:
    """Braces inside a value stay braces."""
    assert filled("{{ x }}", x="{{ y }} \\{{ z }}", y="secret") == "{{ y }} \\{{ z }}"


def test_single_braces_and_other_template_languages_are_text() -> None:
    """JSON examples, `{% %}`, `${x}` and `{x}` are left alone."""
    text = 'Answer {"a": {"b": 1}} {% if x %} ${x} {x!r} %(x)s <% y %>'
    assert filled(text) == text
    assert Template.parse(text).reads == ()


def test_json_around_a_read_keeps_its_brace() -> None:
    """`{"k": {{ x }}}` closes its own brace."""
    assert filled('{"k": {{ x }}}', x=3) == '{"k": 3}'


def test_a_backslash_escapes_two_braces() -> None:
    r"""`\{{` writes two braces and reads nothing."""
    assert filled(r"\{{ x }} \{{ \{") == r"{{ x }} {{ \{"


@pytest.mark.parametrize(
    "inner",
    ["", "a b", "a.", ".a", "a..b", "a[0]", "f()", "a|b", "a + b", "1a", "a.__class__", "__x", "''.x", "a.b??", "é" + "a.b",
     ".".join("abcdefghijklmnopq"), "x" * 65, "a\u0301\u0301.\ufb01"],
)  # fmt: skip
def test_a_read_is_a_path_and_nothing_else(inner: str) -> None:
    """Calls, indices, filters, arithmetic, dunders, over-long and non-NFC paths are refused with their place."""
    if inner == "éa.b":
        assert Template.parse(f"{{{{ {inner} }}}}").reads[0].path == ("éa", "b")
        return
    with pytest.raises(BadExpression) as caught:
        Template.parse("first\n  {{ " + inner + " }}")
    assert (caught.value.line, caught.value.column) == (2, 3)
    assert "\\{{" in caught.value.hint


def test_an_unclosed_read_is_an_error_that_shows_its_line() -> None:
    """`{{ x` without `}}` names line and column and shows the line of the cell."""
    with pytest.raises(BadExpression, match="not closed") as caught:
        Template.parse("a\nb {{ c", 2)
    assert (caught.value.line, caught.value.column) == (4, 3)
    assert "\n    b {{ c\n      ^" in str(caught.value)


def test_a_prompt_has_at_most_64_kb() -> None:
    """64 kB of bytes parse; one more does not."""
    assert Template.parse("é" * (MAX_TEMPLATE_BYTES // 2)).reads == ()
    with pytest.raises(BadExpression, match="65,538 bytes"):
        Template.parse("é" * (MAX_TEMPLATE_BYTES // 2 + 1))


def test_what_is_no_data_is_not_put_in() -> None:
    """NaN and objects are typed errors that name the read."""
    for value in (float("nan"), object(), b"x"):
        with pytest.raises(UnstorableValue, match=r"`a\.b`"):
            Template.parse("{{ a.b }}").render(lambda path, optional, value=value: value)


def test_read_path_says_what_is_wrong() -> None:
    """A path's own parser gives parts and the optional mark."""
    assert read_path(" a.b? ") == (("a", "b"), True)
    assert read_path("a.b?").text == "a.b?"
    with pytest.raises(BadExpression, match="it is empty"):
        read_path("")


def test_hostile_templates_read_nothing_or_are_refused(shared: Path) -> None:
    """Each of the corpus's templates is text without reads, or a typed error: none is a call, an attribute or logic."""
    spec = importlib.util.spec_from_file_location("payloads", shared / "tools" / "faults" / "payloads.py")
    assert spec is not None
    assert spec.loader is not None
    corpus = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(corpus)
    for text in corpus.TEMPLATE:
        try:
            template = Template.parse(text)
        except BadExpression as error:
            assert error.line == 1
            continue
        assert template.reads == ()
        assert template.render(lambda path, optional: pytest.fail("nothing is read")) == text

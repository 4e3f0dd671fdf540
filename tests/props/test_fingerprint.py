"""Promises of the fingerprints: what changes them, and what does not."""

from __future__ import annotations

import json
import linecache
import math
import textwrap
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orch_nb.agents.fingerprint import (
    function_fingerprint,
    hidden_inputs,
    node_fingerprint,
    request_hash,
)
from orch_nb.engine.fingerprint import occurrence, reads_digest, stem
from orch_nb.errors import UnstorableValue
from orch_nb.schema.canonical import canonical, digest
from orch_nb.schema.messages import Message, ModelRequest, ToolSpec
from orch_nb.schema.values import ListDigest, fingerprint_of

_CELLS = count(1)

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | st.just("$bytes"), inner, max_size=4)
    ),
    max_leaves=12,
)


def cell(source: str, **names: object) -> dict:
    """The namespace after a notebook cell: the source is readable through linecache, as IPython makes it."""
    source = textwrap.dedent(source)
    filename = f"<cell {next(_CELLS)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace = {"__name__": "__main__", **names}
    exec(compile(source, filename, "exec"), namespace)
    return namespace


def same_kind(a: object, b: object) -> bool:
    """Equal, of equal types all the way down, -0.0 apart from 0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same_kind, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_kind(a[k], b[k]) for k in a)
    return a == b and (not isinstance(a, float) or math.copysign(1, a) == math.copysign(1, b))


@given(plain, plain)
def test_canonical_text_is_equal_exactly_for_equal_data(a, b):
    """Two values have one canonical text if and only if they are equal and of equal types."""
    assert (canonical(a) == canonical(b)) == same_kind(a, b)


@given(st.dictionaries(st.text(max_size=5), plain, max_size=5), st.randoms())
def test_canonical_text_does_not_know_the_order_of_keys(value, random):
    """The order in which keys were written is not in the text, and the text is JSON."""
    keys = list(value)
    random.shuffle(keys)
    assert canonical({k: value[k] for k in keys}) == canonical(value)
    json.loads(canonical(value))


@pytest.mark.parametrize("bad", [math.nan, math.inf, {1: "a"}, {"a": [object()]}, {1, 2}, Decimal("NaN")])
def test_what_is_no_plain_data_has_no_canonical_text(bad):
    """Data that JSON would bend (NaN, number keys) or lose is refused with its place."""
    with pytest.raises(UnstorableValue):
        canonical(bad)


def test_a_cycle_is_an_error_not_a_crash():
    """A list that holds itself gives a typed error."""
    cycle: list = []
    cycle.append(cycle)
    with pytest.raises(UnstorableValue, match="nested"):
        digest(cycle)


BASE = '''
    LIMIT = 3
    OTHER = 1
    def helper(x):
        return x + LIMIT
    def work(text):
        """Words."""
        total = helper(len(text))
        return {"total": total}
'''


def hash_of(source: str, name: str = "work", **names: object) -> str:
    """The hash of one function of a cell."""
    got, why = function_fingerprint(cell(source, **names)[name])
    assert got, why
    return got


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 3  # three"),
        ('"""Words."""', '"""Other words, on\n    two lines."""'),
        ("total = helper(len(text))", "total   =  helper( len( text ) )"),
        ("OTHER = 1", "OTHER = 2"),
        ("def helper(x):", "# a comment\n    def helper(x):"),
        ("def work(text):", "def work(\n        text,\n    ):"),
    ],
)
def test_edits_that_change_nothing_keep_the_hash(old, new):
    """Comments, white space, docstrings and globals that are not used are not in the hash."""
    assert old in BASE
    assert hash_of(BASE.replace(old, new)) == hash_of(BASE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("return x + LIMIT", "return x - LIMIT"),
        ('{"total": total}', '{"sum": total}'),
        ("def work(text):", "def work(text, more=None):"),
    ],
)
def test_edits_that_change_something_change_the_hash(old, new):
    """Code, the code of functions it calls, and the globals they use are in the hash."""
    assert old in BASE
    assert hash_of(BASE.replace(old, new)) != hash_of(BASE)


@settings(max_examples=30)
@given(plain, plain)
def test_a_used_global_is_in_the_hash_by_value(a, b):
    """The hash follows the value of a plain global exactly."""
    source = "def work(x):\n    return [x, G]\n"
    hashes = [hash_of(source, G=v) for v in (a, b)]
    assert (hashes[0] == hashes[1]) == same_kind(a, b)


def test_names_of_functions_are_not_in_the_hash():
    """Renaming a function is not editing it."""
    assert hash_of("def a(x):\n    return x\n", "a") == hash_of("def b(x):\n    return x\n", "b")


def test_globals_of_nested_functions_count():
    """A global that only an inner function or a comprehension uses is in the hash."""
    source = "def work(xs):\n    def inner(x):\n        return [x * G for _ in xs]\n    return [inner(x) for x in xs]\n"
    assert hash_of(source, G=1) != hash_of(source, G=2)


def test_defaults_and_closures_count():
    """A default's value and a closed-over value are in the hash."""
    source = "def make(n):\n    def work(x, k=n):\n        return x + n + k\n    return work\nwork = make(N)\n"
    assert hash_of(source, N=1) != hash_of(source, N=2)


def test_recursion_and_mutual_recursion_end():
    """Functions that call each other have a hash."""
    source = "def work(n):\n    return other(n - 1) if n else 0\ndef other(n):\n    return work(n - 1) if n else 1\n"
    assert hash_of(source) != hash_of(source.replace("else 1", "else 2"))


def test_classes_count_by_their_code_and_fields():
    """A notebook class is in the hash by its methods, its fields and its pydantic constraints."""
    source = "import pydantic\nclass C(pydantic.BaseModel):\n    n: int = pydantic.Field(ge=0)\n    def f(self):\n        return 1\ndef work(x):\n    return C(n=x).f()\n"
    assert hash_of(source) == hash_of(source)
    assert hash_of(source) != hash_of(source.replace("ge=0", "ge=1"))
    assert hash_of(source) != hash_of(source.replace("return 1", "return 2"))
    data = "from dataclasses import dataclass\n@dataclass\nclass D:\n    n: int = 1\ndef work(x):\n    return D().n\n"
    assert hash_of(data) != hash_of(data.replace("n: int = 1", "n: int = 2"))


def test_modules_count_by_version_and_regexes_by_pattern():
    """Installed modules, standard modules and compiled patterns have a place in the hash."""
    source = "import re, json, pydantic\nP = re.compile('a+')\ndef work(x):\n    return json.dumps(P.findall(x)), pydantic.VERSION\n"
    assert hash_of(source) != hash_of(source.replace("a+", "b+"))


def test_our_decorators_are_not_source():
    """A timeout in `@node(...)` is the node's definition, not its code."""
    source = "from orch_nb.tools.function import node\n@node(timeout_s=5)\ndef work(x):\n    return x\n"
    assert hash_of(source) == hash_of(source.replace("timeout_s=5", "timeout_s=6"))


def test_a_lambda_has_a_hash_when_its_line_tells_it_apart():
    """One lambda a line is hashed, two of the same shape are refused with the way out."""
    assert hash_of("work = lambda x: x + 1\n") != hash_of("work = lambda x: x + 2\n")
    got, why = function_fingerprint(cell("pair = (lambda x: 1, lambda x: 2)\nwork = pair[0]\n")["work"])
    assert got is None
    assert "def" in why


@pytest.mark.parametrize(
    ("source", "names", "word"),
    [
        ("def work(x):\n    return G\n", {"G": object()}, "`G` is a `object`"),
        ("def work(x):\n    return G\n", {"G": "x" * 70_000}, "70,000"),
        ("def work(x):\n    return G\n", {"G": list(range(20_000))}, "64 kB"),
    ],
)
def test_what_cannot_be_hashed_says_why(source, names, word):
    """A function that reaches something without a stable form has no hash, and the reason names it."""
    got, why = function_fingerprint(cell(source, **names)["work"])
    assert got is None
    assert word in why


def test_a_function_without_source_has_no_hash():
    """Code made by `exec` is not reusable, and says so."""
    namespace: dict = {}
    exec("def f(x): return x", namespace)
    assert function_fingerprint(namespace["f"]) == (
        None,
        "the source of `f` cannot be read (it was made by `exec` or at a prompt)",
    )


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("return time.time()", "the clock"),
        ("return datetime.now()", "the clock"),
        ("return random.choice([1, 2])", "chance"),
        ("return choice([1, 2])", "chance"),
        ("return os.environ['HOME']", "the environment"),
        ("return httpx.get('http://x')", "the network"),
        ("return open('f').read()", "files"),
        ("import socket\n    return socket.socket()", "the network"),
        ("from time import time as now\n    return now()", "the clock"),
        ("return Path('f').read_text()", "files"),
        ("return helper()", "the clock"),
    ],
)
def test_hidden_inputs_are_found(body, word):
    """The clock, chance, the network, files and the environment are found, in called functions too."""
    head = "import time, random, os, httpx\nfrom datetime import datetime\nfrom random import choice\nfrom pathlib import Path\ndef helper():\n    return time.time()\n"
    (line, *_) = hidden_inputs(cell(f"{head}def work(x):\n    {body}\n")["work"])
    assert word in line


@pytest.mark.parametrize(
    "body", ["return random.Random(7).random()", "return len(x)", "time = x\n    return time.time()"]
)
def test_what_is_no_hidden_input_is_not_reported(body):
    """A seeded generator, plain code and a local name that looks like a module are left alone."""
    assert hidden_inputs(cell(f"import random\ndef work(x):\n    {body}\n")["work"]) == ()


DEFINITION = {
    "name": "a", "describe": "d", "prompt": "p", "budget_usd": "1", "timeout_s": 5, "out": {"type": "string"},
    "models": [{"name": "small", "provider": "local", "model": "smollm2", "price": "x"}],
}  # fmt: skip


@pytest.mark.parametrize("change", [{"name": "b"}, {"describe": "e"}, {"budget_usd": "2"}, {"timeout_s": 6}])
def test_names_and_limits_are_not_in_a_nodes_fingerprint(change):
    """Name, description, budget and timeout do not make another node."""
    assert node_fingerprint("agent", {**DEFINITION, **change}) == node_fingerprint("agent", DEFINITION)


def test_models_count_by_what_is_called():
    """The notebook's name for a model and its price do not count; the provider's id does."""
    base = node_fingerprint("agent", DEFINITION)
    renamed = [{"name": "tiny", "provider": "local", "model": "smollm2", "price": "y"}]
    other = [{"name": "small", "provider": "local", "model": "gpt-x"}]
    assert node_fingerprint("agent", {**DEFINITION, "models": renamed}) == base
    assert node_fingerprint("agent", {**DEFINITION, "models": other}) != base
    assert node_fingerprint("agent", {**DEFINITION, "prompt": "q"}) != base
    assert node_fingerprint("function", {}, None) == ""


@given(st.dictionaries(st.text(max_size=4), plain, max_size=3), st.integers(1, 5), st.integers(1, 5))
def test_activations_differ_by_values_and_occurrence(values, a, b):
    """Equal reads give equal fingerprints, and the n-th equal activation is another one."""
    fp = node_fingerprint("agent", DEFINITION)
    reads = [(name, fingerprint_of(value)) for name, value in values.items()]
    one, other = stem(fp, reads_digest(reads)), stem(fp, reads_digest(list(reads)))
    assert (occurrence(one, a) == occurrence(other, b)) == (a == b)


@given(st.dictionaries(st.text(max_size=3), plain, max_size=3), st.dictionaries(st.text(max_size=3), plain, max_size=3))
def test_reads_have_one_digest_exactly_when_they_are_equal(one, other):
    """No value can pose as two, or as another type: 1, 1.0, True, "1" and b"1" are five values."""

    def made(reads):
        return reads_digest([(name, fingerprint_of(value)) for name, value in sorted(reads.items())])

    assert (made(one) == made(other)) == (canonical(one) == canonical(other))


@given(st.lists(plain, max_size=8), st.integers(0, 8))
def test_a_growing_list_has_the_digest_of_the_whole(items, at):
    """The running digest of an appended list is the digest of the list: reuse does not depend on how it grew."""
    grown = ListDigest(items[:at])
    grown.extend(items[at:])
    assert grown.digest() == fingerprint_of(items)


def test_a_requests_hash_holds_all_that_is_sent_and_no_more():
    """Deadline and idempotency key are not in it; every other field is."""
    base = ModelRequest("m", (Message("user", "hi"),))
    same = ModelRequest("m", (Message("user", "hi"),), timeout_s=1, idempotency_key="k")
    assert request_hash(base) == request_hash(same)
    changes = [
        {"model": "n"}, {"messages": (Message("system", "hi"),)}, {"schema": {"type": "string"}}, {"enforce": "validate"},
        {"tools": (ToolSpec("t", "d", {}),)}, {"max_tokens": 1}, {"temperature": 0.5}, {"seed": 1}, {"stop": ("x",)},
    ]  # fmt: skip
    fields = {"model": "m", "messages": (Message("user", "hi"),)}
    hashes = {request_hash(ModelRequest(**{**fields, **change})) for change in changes}
    assert len(hashes | {request_hash(base)}) == len(changes) + 1
